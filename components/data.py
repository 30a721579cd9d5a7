"""The buckets of a stack, on whichever stores they are, described in one output."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

import pulumi

from components.refuse import refuse
from components.tags import STACK
from skyrig.cluster.buckets import CLOUDS, check_name
from skyrig.cluster.keys import one_of
from skyrig.errors import BadInput


class WantedBucketArgs(TypedDict):
    """One wanted bucket."""

    name: str
    """Its name, by the rules of its store."""
    store: str
    """local, s3, gcs or azure."""
    region: str
    """Where it is made; "" on the local cloud."""
    persistent: bool
    """Whether it outlives its stack."""
    account: str
    """Account, project or subscription that pays. No other one is ever read, changed or destroyed."""


class DataArgs(TypedDict):
    """What the buckets of a stack are made from. All of it shapes the graph, so it is plain."""

    stack: str
    """Name of the stack."""
    buckets: list[WantedBucketArgs]
    """Wanted buckets."""
    owner: str
    """Who made them; a tag on what is on a cloud."""


class Data(pulumi.ComponentResource):
    """Buckets, each by its name: adding or removing one leaves the others as they are."""

    buckets: pulumi.Output[list[dict[str, Any]]]
    """What is there: name, store, url, endpoint, region, account, persistent and folder of each."""

    keys: pulumi.Output[dict[str, str]] | None
    """Keys to the local ones, a secret: access_key_id and secret_access_key. None where there are no local ones."""

    def __init__(self, name: str, args: DataArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("Data", _wrong(args["buckets"]))
        super().__init__("skyrig:index:Data", name, {}, opts)
        self._name, self._args = name, args
        self._tags = {STACK: args["stack"], **({"skyrig-owner": args["owner"]} if args["owner"] else {})}
        self._places: dict[tuple[str, str, str], pulumi.ResourceOptions] = {}
        self.keys = None
        said = self._local([each for each in args["buckets"] if each["store"] == "local"])
        making = {"s3": self._s3, "gcs": self._gcs, "azure": self._azure}
        for wanted in args["buckets"]:
            if wanted["store"] != "local":
                said[wanted["store"], wanted["name"]] = making[wanted["store"]](wanted)
        in_order = [_described(each, said[each["store"], each["name"]]) for each in args["buckets"]]
        self.buckets = pulumi.Output.all(*in_order)
        self.register_outputs({"buckets": self.buckets})

    def _local(self, wanted: list[WantedBucketArgs]) -> dict[tuple[str, str], dict[str, Any]]:
        """The local ones, and the server for them where there is one."""
        if not wanted:
            return {}
        from components.local.bucket import LocalBucket
        from components.local.store import LocalStore, LocalStoreKey

        child = pulumi.ResourceOptions(parent=self)
        stack = self._args["stack"]
        key = LocalStoreKey(f"{self._name}-key", stack, child)
        store = LocalStore(f"{self._name}-store", stack, key, child)
        after = pulumi.ResourceOptions(parent=self, depends_on=[store])
        both = {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}
        self.keys = pulumi.Output.secret(pulumi.Output.all(**both))
        found = {}
        for each in wanted:
            made = LocalBucket(
                f"{self._name}-{each['name']}",
                {
                    "stack": stack,
                    "bucket": each["name"],
                    "persistent": each["persistent"],
                    "access_key_id": key.access_key_id,
                    "secret_access_key": key.secret_access_key,
                },
                after,
            )
            found["local", each["name"]] = {"url": made.url, "endpoint": store.endpoint, "folder": made.folder}
        return found

    def _s3(self, wanted: WantedBucketArgs) -> dict[str, Any]:
        from components.aws.bucket import AwsBucket

        made = AwsBucket(
            self._called(wanted),
            {
                "bucket": wanted["name"],
                "region": wanted["region"],
                "persistent": wanted["persistent"],
                "noncurrent_days": 30,
                "tags": self._tags,
            },
            self._in(wanted),
        )
        return {"url": pulumi.Output.concat("s3://", made.bucket)}

    def _gcs(self, wanted: WantedBucketArgs) -> dict[str, Any]:
        from components.gcp.bucket import GcpBucket
        from skyrig.clouds.gcp.names import labels

        made = GcpBucket(
            self._called(wanted),
            {
                "bucket": wanted["name"],
                "location": wanted["region"],
                "labels": labels(self._tags),
                "persistent": wanted["persistent"],
            },
            self._in(wanted),
        )
        return {"url": made.url}

    def _azure(self, wanted: WantedBucketArgs) -> dict[str, Any]:
        from pulumi_azure_native.resources import ResourceGroup

        from components.azure.bucket import AzureBucket
        from skyrig.clouds.azure import names

        stack, kept = self._args["stack"], wanted["persistent"] or None
        where = self._in(wanted)
        own = pulumi.ResourceOptions(protect=kept, retain_on_delete=kept)
        group = ResourceGroup(
            f"{self._called(wanted)}-group",
            resource_group_name=names.resource_group(f"{stack}-{wanted['name']}"),
            location=wanted["region"],
            tags=self._tags,
            opts=pulumi.ResourceOptions.merge(where, own),
        )
        made = AzureBucket(
            self._called(wanted),
            {
                "stack": stack,
                "bucket": wanted["name"],
                "account": wanted["account"],
                "region": wanted["region"],
                "resource_group": group.name,
                "persistent": wanted["persistent"],
                "tags": self._tags,
            },
            where,
        )
        return {"url": made.url}

    def _called(self, wanted: WantedBucketArgs) -> str:
        return f"{self._name}-{wanted['store']}-{wanted['name']}"

    def _in(self, wanted: WantedBucketArgs) -> pulumi.ResourceOptions:
        """Options with the provider for the bucket's store, account and region; buckets of one place share it."""
        place = (wanted["store"], wanted["account"], wanted["region"])
        if place not in self._places:
            name = "-".join(part for part in (self._name, *place, "provider") if part)
            provider = _provider(name, *place, pulumi.ResourceOptions(parent=self))
            self._places[place] = pulumi.ResourceOptions(parent=self, providers=[provider])
        return self._places[place]


def _provider(
    name: str, store: str, account: str, region: str, opts: pulumi.ResourceOptions
) -> pulumi.ProviderResource:
    """A store's provider. No other account than this one is ever touched, whatever credentials are at hand."""
    module, pinned = _PROVIDERS[store]
    made: pulumi.ProviderResource = importlib.import_module(module).Provider(name, **pinned(account, region), opts=opts)
    return made


_PROVIDERS: Mapping[str, tuple[str, Callable[[str, str], dict[str, Any]]]] = {
    "s3": (
        "pulumi_aws",
        lambda account, region: {
            "region": region,
            "allowed_account_ids": [account] if account else None,
        },
    ),
    "gcs": (
        "pulumi_gcp.provider",
        lambda account, region: {
            "project": account,
            "region": region,
            "add_pulumi_attribution_label": False,
        },
    ),
    "azure": ("pulumi_azure_native.provider", lambda account, region: {"subscription_id": account}),
}
"""The package of a store's provider, and what pins it to an account and a region."""


def _described(wanted: WantedBucketArgs, said: dict[str, Any]) -> pulumi.Output[dict[str, Any]]:
    """One entry of the output `buckets`."""
    entry = {"endpoint": "", "folder": "", **wanted, **said}
    return pulumi.Output.all(**entry).apply(lambda known: dict(sorted(known.items())))


def _wrong(buckets: list[WantedBucketArgs]) -> dict[str, str]:
    """What makes no sense, by property."""
    found = {}
    for number, each in enumerate(buckets):
        try:
            one_of("store", each["store"], CLOUDS)
            check_name(each["store"], each["name"])
        except BadInput as error:
            found[f"buckets[{number}]"] = error.message
    return found
