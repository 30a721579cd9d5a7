"""A bucket of Nebius' Object Storage."""

from typing import Any, TypedDict

import pulumi
import pulumi_nebius as nebius

from components.buckets import PlaceArgs, WantedBucketArgs, called, provider_called
from skyrig.clouds.nebius import session
from skyrig.clouds.nebius.names import labels

MULTIPART_DAYS = 7
"""Days after which an upload that was never finished is removed."""
NONCURRENT_DAYS = 30
"""Days that a replaced or deleted object can be brought back."""


class NebiusBucketArgs(TypedDict):
    """What a bucket is made from."""

    bucket: str
    """Its name, unique in its region."""
    project: str
    """Project of the bucket, which is in one region."""
    labels: dict[str, str]
    """Labels on it."""
    persistent: bool
    """Whether it outlives its stack: it is protected, and kept where it is taken out of the program. Nebius deletes a
    bucket only once it is empty."""


class NebiusBucket(pulumi.ComponentResource):
    """A private, versioned bucket. Nothing but an access key of a service account opens it."""

    url: pulumi.Output[str]
    """nebius://NAME."""

    def __init__(self, name: str, args: NebiusBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:NebiusBucket", name, {}, opts)
        kept = args["persistent"]
        made = nebius.StorageV1Bucket(
            f"{name}-bucket",
            name=args["bucket"],
            parent_id=args["project"],
            labels=args["labels"],
            versioning_policy="ENABLED",
            lifecycle_configuration={
                "rules": [
                    {
                        "id": "unfinished",
                        "status": "ENABLED",
                        "abort_incomplete_multipart_upload": {"days_after_initiation": MULTIPART_DAYS},
                    },
                    {
                        "id": "old",
                        "status": "ENABLED",
                        "noncurrent_version_expiration": {"noncurrent_days": NONCURRENT_DAYS},
                    },
                ]
            },
            opts=pulumi.ResourceOptions(parent=self, protect=kept, retain_on_delete=kept),
        )
        self.url = made.name.apply(lambda known: f"nebius://{known}")
        self.register_outputs({"url": self.url})


class NebiusBuckets:
    """All buckets of a project."""

    keys: pulumi.Output[dict[str, str]] | None = None
    """None: a bucket is opened with the access key of whoever uses it."""

    def __init__(self, name: str, args: PlaceArgs, opts: pulumi.ResourceOptions) -> None:
        self._name, self._args = name, args
        provider = nebius.Provider(
            provider_called(name, args), parent_id=args["account"], **(session.authentication() or {}), opts=opts
        )
        self._opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[provider]))

    def bucket(self, wanted: WantedBucketArgs) -> dict[str, Any]:
        """Make one."""
        made = NebiusBucket(
            called(self._name, wanted),
            {
                "bucket": wanted["name"],
                "project": wanted["account"],
                "labels": labels(self._args["tags"]),
                "persistent": wanted["persistent"],
            },
            self._opts,
        )
        return {"url": made.url}
