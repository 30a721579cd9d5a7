"""A bucket: a storage account of its own, and one private container in it."""

from typing import Any, TypedDict

import pulumi
from pulumi_azure_native import storage
from pulumi_azure_native.provider import Provider
from pulumi_azure_native.resources import ResourceGroup

from components.azure import names
from components.buckets import PlaceArgs, WantedBucketArgs, called, provider_called
from skyrig.clouds.azure import names as cloud_names

KEEP_DAYS = 7
"""How long what was deleted can be brought back."""
OLD_DAYS = 30
"""How long versions that are not the newest are kept. Parts of unfinished uploads Azure drops after a week itself."""


class AzureBucketArgs(TypedDict):
    """What a bucket is made from."""

    stack: str
    """Stack that the bucket belongs to; part of the account's name."""
    bucket: str
    """Name of the bucket: 3 to 63 lower-case letters, digits and '-'."""
    account: str
    """Subscription; part of the account's name."""
    region: str
    """Region of the bucket."""
    resource_group: pulumi.Input[str]
    """Resource group of the bucket. Not a cluster's where it shall outlive that."""
    persistent: bool
    """Whether it is protected, and stays in Azure even if its stack is destroyed."""
    tags: dict[str, str]
    """Tags on the account."""


class AzureBucket(pulumi.ComponentResource):
    """A private, versioned, encrypted container. There are no keys to it: identities are given roles."""

    url: pulumi.Output[str]
    """https://ACCOUNT.blob.core.windows.net/BUCKET."""

    container: pulumi.Output[str]
    """Resource id of the container, for roles."""

    storage_account: pulumi.Output[str]
    """Name of the storage account."""

    def __init__(self, name: str, args: AzureBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AzureBucket", name, {}, opts)
        keep = True if args["persistent"] else None
        child = pulumi.ResourceOptions(parent=self, protect=keep, retain_on_delete=keep)
        account = storage.StorageAccount(
            f"{name}-account",
            account_name=names.storage_account(args["stack"], args["account"], args["bucket"]),
            resource_group_name=args["resource_group"],
            location=args["region"],
            kind="StorageV2",
            sku={"name": "Standard_LRS"},
            allow_blob_public_access=False,
            allow_shared_key_access=False,
            allow_cross_tenant_replication=False,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            minimum_tls_version="TLS1_2",
            is_local_user_enabled=False,
            encryption={"key_source": "Microsoft.Storage", "services": {"blob": {"enabled": True}}},
            tags=args["tags"],
            opts=child,
        )
        within = {"resource_group_name": args["resource_group"], "account_name": account.name}
        kept = {"enabled": True, "days": KEEP_DAYS}
        service = storage.BlobServiceProperties(
            f"{name}-service",
            blob_services_name="default",
            is_versioning_enabled=True,
            delete_retention_policy=kept,
            container_delete_retention_policy=kept,
            **within,
            opts=child,
        )
        after = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[service]))
        storage.ManagementPolicy(
            f"{name}-lifecycle",
            management_policy_name="default",
            policy={"rules": [_lifecycle()]},
            **within,
            opts=after,
        )
        container = storage.BlobContainer(
            f"{name}-container", container_name=args["bucket"], public_access="None", **within, opts=after
        )
        self.container, self.storage_account = container.id, account.name
        self.url = pulumi.Output.concat(account.primary_endpoints.blob, args["bucket"])
        self.register_outputs({"url": self.url, "container": self.container})


def _lifecycle() -> dict[str, object]:
    old = {"delete": {"days_after_creation_greater_than": OLD_DAYS}}
    return {
        "name": "old-versions",
        "enabled": True,
        "type": "Lifecycle",
        "definition": {
            "filters": {"blob_types": ["blockBlob"]},
            "actions": {"version": old, "snapshot": old},
        },
    }


class AzureBuckets:
    """All buckets of a subscription in a region. Each has a resource group of its own."""

    keys: pulumi.Output[dict[str, str]] | None = None
    """None: there are no keys."""

    def __init__(self, name: str, args: PlaceArgs, opts: pulumi.ResourceOptions) -> None:
        self._name, self._args = name, args
        provider = Provider(provider_called(name, args), subscription_id=args["account"], opts=opts)
        self._opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[provider]))

    def bucket(self, wanted: WantedBucketArgs) -> dict[str, Any]:
        """Make one."""
        stack, kept = self._args["stack"], wanted["persistent"] or None
        group = ResourceGroup(
            f"{called(self._name, wanted)}-group",
            resource_group_name=cloud_names.resource_group(f"{stack}-{wanted['name']}"),
            location=wanted["region"],
            tags=self._args["tags"],
            opts=pulumi.ResourceOptions.merge(self._opts, pulumi.ResourceOptions(protect=kept, retain_on_delete=kept)),
        )
        made = AzureBucket(
            called(self._name, wanted),
            {
                "stack": stack,
                "bucket": wanted["name"],
                "account": wanted["account"],
                "region": wanted["region"],
                "resource_group": group.name,
                "persistent": wanted["persistent"],
                "tags": self._args["tags"],
            },
            self._opts,
        )
        return {"url": made.url}
