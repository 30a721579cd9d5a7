"""What the nodes of a cluster may do: IAM policies as plain data. Pure functions."""

from collections.abc import Sequence
from typing import Any

from components.tags import STACK

VERSION = "2012-10-17"

_BUCKET = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
_OBJECT = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)


def partition(region: str) -> str:
    """The partition of a region, as ARNs have it."""
    start = region.split("-", 1)[0]
    return "aws-cn" if start == "cn" else "aws-us-gov" if region.startswith("us-gov-") else "aws"


def assumed_by_instances() -> dict[str, Any]:
    """Who may take the role: instances."""
    allowed = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return {"Version": VERSION, "Statement": [allowed]}


def of_nodes(stack: str, region: str, account: str, buckets: Sequence[str]) -> dict[str, Any]:
    """What a node may do: end itself, and reach `buckets` (names). It stops itself by shutting down, which needs no
    right. Without an `account` the instances of any account match, of which a role reaches its own alone."""
    arn = f"arn:{partition(region)}"
    instance = f"{arn}:ec2:{region}:{account or '*'}:instance/"
    end = {
        "Sid": "EndItself",
        "Effect": "Allow",
        "Action": "ec2:TerminateInstances",
        "Resource": f"{instance}*",
        "Condition": {
            "StringEquals": {f"aws:ResourceTag/{STACK}": stack},
            # The instance that asks is the one that it asks for.
            "ArnLike": {"ec2:SourceInstanceARN": f"{instance}${{ec2:InstanceID}}"},
        },
    }
    return {"Version": VERSION, "Statement": [end, *_of_buckets(arn, buckets)]}


def _of_buckets(arn: str, buckets: Sequence[str]) -> list[dict[str, Any]]:
    if not buckets:
        return []
    whole = [f"{arn}:s3:::{bucket}" for bucket in buckets]
    return [
        {"Sid": "Buckets", "Effect": "Allow", "Action": list(_BUCKET), "Resource": whole},
        {"Sid": "Objects", "Effect": "Allow", "Action": list(_OBJECT), "Resource": [f"{each}/*" for each in whole]},
    ]


def tls_only(region: str, bucket: str) -> dict[str, Any]:
    """Policy of a bucket that nobody reads or writes without TLS."""
    arn = f"arn:{partition(region)}:s3:::{bucket}"
    denied = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": VERSION, "Statement": [denied]}
