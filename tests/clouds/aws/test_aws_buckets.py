"""Buckets on AWS: our verbs, the real engine and SDK, the real Terraform provider, and moto as AWS."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from account import REGION, AwsUser
from botocore.exceptions import ClientError

pytestmark = [pytest.mark.e2e, pytest.mark.soak]  # five runs of the engine, with AWS's provider

ATTACH = """
import sys
from skyrig.attaching import attach
from skyrig.stack import described
from skyrig.storage.wanted import WantedBucket
stack, kept, fleeting = sys.argv[1:]
wanted = [WantedBucket("~/kept", "MOUNT_CACHED", name=kept)]
wanted += [WantedBucket("~/fleeting", "MOUNT", name=fleeting, persistent=False)]
for mount in attach(described.describe(stack), wanted, {}, print, lambda question: True).mounts:
    print(mount.bucket, mount.remote.get("env_auth"), mount.secret or "no keys")
"""
"""What `launch` does before a job of its task goes to the head, which moto does not have."""


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, aws_url: str) -> Iterator[AwsUser]:
    """Somebody with a cluster of one node on AWS."""
    made = AwsUser(tmp_path_factory.mktemp("aws"), f"data{time.monotonic_ns() % 100000}", aws_url)
    words = ["--infra", f"aws/{REGION}/{REGION}b", "-t", "g6.xlarge", "--image-id", made.image()]
    made.run("up", *words, "--disk-tier", "low", "-y", timeout=300)  # moto forgets a throughput
    yield made
    made.run("down", "-y", check=None, timeout=300)


def settings(s3: Any, bucket: str) -> dict[str, Any]:
    """What S3 knows of a bucket."""
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    [sealed] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    return {
        "versions": s3.get_bucket_versioning(Bucket=bucket)["Status"],
        "encryption": sealed["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"],
        "shut": set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()),
        "uploads": rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"],
        "old": rule["NoncurrentVersionExpiration"]["NoncurrentDays"],
        "tls": "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"],
    }


def there(s3: Any, bucket: str) -> bool:
    """Whether there is such a bucket."""
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError:
        return False
    return True


def test_buckets_are_shut_kept_and_deleted_as_was_said(person: AwsUser, tmp_path: Path) -> None:
    s3, iam = person.client("s3"), person.client("iam")
    kept, fleeting = f"kept-{person.stack}", f"fleeting-{person.stack}"
    command = [sys.executable, "-c", ATTACH, person.stack, kept, fleeting]
    done = subprocess.run(command, cwd=person.clone, env=person.env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [f"s3://{kept} true no keys", f"s3://{fleeting} true no keys"]
    as_said = {"versions": "Enabled", "encryption": "AES256", "shut": {True}, "uploads": 7, "old": 30, "tls": True}
    assert settings(s3, kept) == settings(s3, fleeting) == as_said
    [role] = [each["RoleName"] for each in iam.list_roles()["Roles"] if person.stack in each["RoleName"]]
    policies = [
        iam.get_role_policy(RoleName=role, PolicyName=name)
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    ]
    allowed = str([each["PolicyDocument"] for each in policies])
    assert f"arn:aws:s3:::{kept}" in allowed and f"arn:aws:s3:::{fleeting}" in allowed

    (tmp_path / "words").write_text("words")
    for name in (kept, fleeting):
        person.run("storage.cp", str(tmp_path / "words"), f"{name}:a/words")
        assert s3.get_object(Bucket=name, Key="a/words")["Body"].read() == b"words"
    rows = {row["name"]: (row["stack"], row["persistent"]) for row in person.json("storage.ls")["buckets"]}
    assert rows == {kept: (f"{person.stack}-data", True), fleeting: (person.stack, False)}

    down = person.run("down", "-y", timeout=300)
    assert f"buckets stay: {kept} (s3://{kept})" in down.told()
    assert there(s3, kept) and not there(s3, fleeting)
    assert s3.get_object(Bucket=kept, Key="a/words")["Body"].read() == b"words"
    refused = person.run("storage.delete", kept, check=2)
    assert there(s3, kept) and "stays" in refused.told()
    person.run("storage.delete", kept, "-y", timeout=300)
    assert not there(s3, kept) and person.json("storage.ls")["buckets"] == []
