"""Skyrig's components in somebody's own Pulumi program (examples/components), on the real engine."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from account import AwsUser
from user import BIN, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.soak]


def test_a_network_a_bucket_and_an_identity_by_themselves(tmp_path: Path, aws_url: str) -> None:
    person = AwsUser(tmp_path, "own", aws_url)
    program = tmp_path / "lab"
    shutil.copytree(ROOT / "examples" / "components", program)
    (tmp_path / "state").mkdir()
    person.env |= {
        "PULUMI_BACKEND_URL": (tmp_path / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_PYTHON_CMD": str(BIN / "python"),
    }

    def pulumi(*words: str) -> str:
        command = [str(BIN / "pulumi"), *words, "-s", "own", "--non-interactive"]
        done = subprocess.run(command, cwd=program, env=person.env, capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.decode()

    pulumi("stack", "init")
    pulumi("up", "--yes", "--skip-preview")
    said: dict[str, Any] = json.loads(pulumi("stack", "output", "--json"))
    s3, iam, ec2 = (person.client(name) for name in ("s3", "iam", "ec2"))
    shut = s3.get_public_access_block(Bucket=said["bucket"])["PublicAccessBlockConfiguration"]
    assert set(shut.values()) == {True}
    assert s3.get_bucket_versioning(Bucket=said["bucket"])["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=said["bucket"])["ServerSideEncryptionConfiguration"]["Rules"]
    [role] = iam.get_instance_profile(InstanceProfileName=said["profile"])["InstanceProfile"]["Roles"]
    [policy] = iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
    rights = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)["PolicyDocument"]
    assert f"arn:aws:s3:::{said['bucket']}/*" in json.dumps(rights)
    assert ec2.describe_subnets(SubnetIds=[said["subnet"]])["Subnets"]
    pulumi("preview", "--expect-no-changes")
    s3.put_object(Bucket=said["bucket"], Key="k", Body=b"v")
    pulumi("destroy", "--yes", "--skip-preview")
    assert said["bucket"] not in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": [said["subnet"]]}])["Subnets"] == []
