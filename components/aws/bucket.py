"""A private S3 bucket."""

import json
from typing import Any, TypedDict

import pulumi
import pulumi_aws as aws

from components.aws import policy
from components.buckets import PlaceArgs, WantedBucketArgs, called, provider_called


class AwsBucketArgs(TypedDict):
    """What a bucket is made from."""

    bucket: str
    """Name of the bucket, which is taken by nobody else in the world; "" makes one up."""
    region: str
    """Region of the bucket: its partition is part of its ARN."""
    persistent: bool
    """Whether it outlives its stack: it is protected then, and kept where it is taken out of the stack."""
    noncurrent_days: int
    """After how many days an object's earlier version is removed."""
    tags: dict[str, str]
    """Tags on everything that can carry them."""


class AwsBucket(pulumi.ComponentResource):
    """A bucket that is private, encrypted and versioned, and reached by TLS alone. Uploads that were never finished are
    removed after 7 days."""

    bucket: pulumi.Output[str]
    """Name of the bucket."""

    arn: pulumi.Output[str]
    """ARN of the bucket."""

    def __init__(self, name: str, args: AwsBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        kept = pulumi.ResourceOptions(protect=args["persistent"] or None, retain_on_delete=args["persistent"] or None)
        super().__init__("skyrig:index:AwsBucket", name, {}, pulumi.ResourceOptions.merge(opts, kept))
        child = pulumi.ResourceOptions(parent=self)
        prefix = "".join(letter if letter.isalnum() else "-" for letter in f"skyrig-{name}".lower())[:36] + "-"
        made = aws.s3.Bucket(
            f"{name}-bucket",
            bucket=args["bucket"] or None,
            bucket_prefix=None if args["bucket"] else prefix,
            force_destroy=not args["persistent"],
            tags=args["tags"],
            opts=child,
        )
        self._shut(name, made.bucket, args["region"], child)
        self._keep(name, made.bucket, args["noncurrent_days"], child)
        self.bucket = made.bucket
        self.arn = made.arn
        self.register_outputs({"bucket": self.bucket, "arn": self.arn})

    def _shut(self, name: str, bucket: pulumi.Output[str], region: str, child: pulumi.ResourceOptions) -> None:
        """Nobody from outside, nothing in the clear."""
        shut = aws.s3.BucketPublicAccessBlock(
            f"{name}-access",
            bucket=bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership", bucket=bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child,
        )
        aws.s3.BucketPolicy(
            f"{name}-tls",
            bucket=shut.bucket,  # S3 refuses two changes of a bucket's access at once
            policy=bucket.apply(lambda known: json.dumps(policy.tls_only(region, known))),
            opts=child,
        )

    def _keep(self, name: str, bucket: pulumi.Output[str], days: int, child: pulumi.ResourceOptions) -> None:
        """Versions, and for how long."""
        versions = aws.s3.BucketVersioning(
            f"{name}-versions", bucket=bucket, versioning_configuration={"status": "Enabled"}, opts=child
        )
        rule = {
            "id": "leftovers",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
            "noncurrent_version_expiration": {"noncurrent_days": days},
        }
        aws.s3.BucketLifecycleConfiguration(f"{name}-lifecycle", bucket=versions.bucket, rules=[rule], opts=child)


class AwsBuckets:
    """All buckets of an account in a region."""

    keys: pulumi.Output[dict[str, str]] | None = None
    """None: nodes and people open them by what they are."""

    def __init__(self, name: str, args: PlaceArgs, opts: pulumi.ResourceOptions) -> None:
        self._name, self._args = name, args
        provider = aws.Provider(
            provider_called(name, args),
            region=args["region"],
            allowed_account_ids=[args["account"]] if args["account"] else None,
            opts=opts,
        )
        self._opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[provider]))

    def bucket(self, wanted: WantedBucketArgs) -> dict[str, Any]:
        """Make one."""
        made = AwsBucket(
            called(self._name, wanted),
            {
                "bucket": wanted["name"],
                "region": wanted["region"],
                "persistent": wanted["persistent"],
                "noncurrent_days": 30,
                "tags": self._args["tags"],
            },
            self._opts,
        )
        return {"url": pulumi.Output.concat("s3://", made.bucket)}
