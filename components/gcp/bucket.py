"""A bucket."""

from typing import TypedDict

import pulumi
from pulumi_gcp.storage.bucket import Bucket

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
