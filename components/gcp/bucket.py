"""A bucket."""

from typing import Any, TypedDict

import pulumi
from pulumi_gcp.provider import Provider
from pulumi_gcp.storage.bucket import Bucket

from components.buckets import PlaceArgs, WantedBucketArgs, called, provider_called
from skyrig.clouds.gcp.names import labels

MULTIPART_DAYS = 7
"""Days after which an upload that was never finished is removed."""
NONCURRENT_DAYS = 30
"""Days that a replaced or deleted object can be brought back."""


class GcpBucketArgs(TypedDict):
    """What a bucket is made from."""

    bucket: str
    """Its name, unique in all of Google Cloud."""
    location: str
    """Region or multi-region."""
    labels: dict[str, str]
    """Labels: small letters, digits, "_" and "-"."""
    persistent: bool
    """Whether it outlives its stack: it is protected, and kept where it is taken out of the program. Otherwise it goes
    with all that is in it."""


class GcpBucket(pulumi.ComponentResource):
    """A private bucket: encrypted at rest (as all are), versioned, without access lists and closed to the public."""

    url: pulumi.Output[str]
    """gs://NAME."""

    bucket: pulumi.Output[str]
    """Its name."""

    def __init__(self, name: str, args: GcpBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:GcpBucket", name, {}, opts)
        kept = args["persistent"]
        made = Bucket(
            f"{name}-bucket",
            name=args["bucket"],
            location=args["location"].upper(),
            labels=args["labels"],
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning={"enabled": True},
            lifecycle_rules=[
                {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": MULTIPART_DAYS}},
                {"action": {"type": "Delete"}, "condition": {"days_since_noncurrent_time": NONCURRENT_DAYS}},
            ],
            force_destroy=not kept,
            opts=pulumi.ResourceOptions(parent=self, protect=kept, retain_on_delete=kept),
        )
        self.url, self.bucket = made.url, made.name
        self.register_outputs({"url": self.url, "bucket": self.bucket})


class GcpBuckets:
    """All buckets of a project in a region."""

    keys: pulumi.Output[dict[str, str]] | None = None
    """None: nodes and people open them by what they are."""

    def __init__(self, name: str, args: PlaceArgs, opts: pulumi.ResourceOptions) -> None:
        self._name, self._args = name, args
        provider = Provider(
            provider_called(name, args),
            project=args["account"],
            region=args["region"],
            add_pulumi_attribution_label=False,
            opts=opts,
        )
        self._opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[provider]))

    def bucket(self, wanted: WantedBucketArgs) -> dict[str, Any]:
        """Make one."""
        made = GcpBucket(
            called(self._name, wanted),
            {
                "bucket": wanted["name"],
                "location": wanted["region"],
                "labels": labels(self._args["tags"]),
                "persistent": wanted["persistent"],
            },
            self._opts,
        )
        return {"url": made.url}
