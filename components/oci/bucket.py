"""A bucket of Oracle Cloud's Object Storage."""

from typing import Any, TypedDict

import pulumi
from pulumi_oci.objectstorage.bucket import Bucket
from pulumi_oci.objectstorage.get_namespace import get_namespace_output
from pulumi_oci.provider import Provider

from components.buckets import PlaceArgs, WantedBucketArgs, called, provider_called
from skyrig.clouds.oci.names import freeform


class OciBucketArgs(TypedDict):
    """What a bucket is made from."""

    bucket: str
    """Its name, unique in its namespace, which is the tenancy's."""
    account: str
    """Compartment of the bucket."""
    region: str
    """Region of the bucket."""
    labels: dict[str, str]
    """Free-form tags."""
    persistent: bool
    """Whether it outlives its stack: it is protected, and kept where it is taken out of the program. Oracle Cloud
    deletes a bucket only once it is empty."""


class OciBucket(pulumi.ComponentResource):
    """A private, versioned bucket, encrypted at rest (as all are). There are no rules that remove old versions and
    unfinished uploads: Oracle's own service would need a policy of the compartment for that."""

    url: pulumi.Output[str]
    """oci://NAME."""

    endpoint: pulumi.Output[str]
    """Where it is reached by S3's protocol, with a customer secret key."""

    def __init__(self, name: str, args: OciBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:OciBucket", name, {}, opts)
        kept = args["persistent"]
        look = pulumi.InvokeOptions(parent=self)
        namespace = get_namespace_output(compartment_id=args["account"], opts=look).namespace
        made = Bucket(
            f"{name}-bucket",
            name=args["bucket"],
            namespace=namespace,
            compartment_id=args["account"],
            access_type="NoPublicAccess",
            versioning="Enabled",
            freeform_tags=args["labels"],
            opts=pulumi.ResourceOptions(parent=self, protect=kept, retain_on_delete=kept),
        )
        self.url = pulumi.Output.concat("oci://", made.name)
        host = f".compat.objectstorage.{args['region']}.oraclecloud.com"
        self.endpoint = pulumi.Output.concat("https://", made.namespace, host)
        self.register_outputs({"url": self.url, "endpoint": self.endpoint})


class OciBuckets:
    """All buckets of a compartment in a region."""

    keys: pulumi.Output[dict[str, str]] | None = None
    """None: a bucket is opened with the customer secret key of whoever uses it."""

    def __init__(self, name: str, args: PlaceArgs, opts: pulumi.ResourceOptions) -> None:
        self._name, self._args = name, args
        provider = Provider(provider_called(name, args), region=args["region"], opts=opts)
        self._opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[provider]))

    def bucket(self, wanted: WantedBucketArgs) -> dict[str, Any]:
        """Make one."""
        made = OciBucket(
            called(self._name, wanted),
            {
                "bucket": wanted["name"],
                "account": wanted["account"],
                "region": wanted["region"],
                "labels": freeform(self._args["tags"]),
                "persistent": wanted["persistent"],
            },
            self._opts,
        )
        return {"url": made.url, "endpoint": made.endpoint}
