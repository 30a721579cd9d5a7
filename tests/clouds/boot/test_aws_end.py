"""A node of AWS ends itself: against moto's EC2, which checks signatures and rights, and a metadata service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from boot_cases import HERE, programs
from metadata_server import serving
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"
TRUST = {"Version": "2012-10-17", "Statement": []}
MAY_END = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": "*"}],
}
MAY_NOTHING = {**MAY_END, "Statement": [{**MAY_END["Statement"][0], "Effect": "Deny"}]}  # type: ignore[index]


class Cloud:
    """moto, which believes everybody until `strict`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.ec2, self.iam, self.sts = (self.client(service) for service in ("ec2", "iam", "sts"))

    def client(self, service: str) -> Any:
        key = {"aws_access_key_id": "admin", "aws_secret_access_key": "admin"}
        return boto3.client(service, endpoint_url=self.address, region_name=REGION, **key)

    def instance(self) -> str:
        self.strict("1000")
        made = self.ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)
        return str(made["Instances"][0]["InstanceId"])

    def role(self, policy: Mapping[str, Any]) -> dict[str, str]:
        """Credentials of a role with the policy, as metadata says them."""
        self.strict("1000")
        name = f"node-{uuid.uuid4().hex}"
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
        self.iam.put_role_policy(RoleName=name, PolicyName="node", PolicyDocument=json.dumps(policy))
        key = self.sts.assume_role(RoleArn=role["Arn"], RoleSessionName="node")["Credentials"]
        return {
            "Code": "Success",
            "AccessKeyId": key["AccessKeyId"],
            "SecretAccessKey": key["SecretAccessKey"],
            "Token": key["SessionToken"],
        }

    def strict(self, after: str) -> None:
        """Check signature and rights once so many requests have been believed."""
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.address}/moto-api/reset-auth", after.encode(), plain)
        urllib.request.urlopen(request, timeout=10).close()

    def state(self, instance: str) -> str:
        self.strict("1000")
        found = self.ec2.describe_instances(InstanceIds=[instance])
        return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # seconds of reading
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield Cloud(f"http://{host}:{port}")
        finally:
            server.stop()


class Node:
    """A machine with the program, and with a `shutdown` that only says that it was called."""

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        self.folder, self.cloud = folder, cloud
        self.program = folder / "end"
        self.program.write_text(programs(HERE / "cases" / "aws-cpu.json")["end"])
        self.off = folder / "off"
        (folder / "shutdown").write_text(f'#!/bin/sh\necho "$@" >{self.off}\n')
        (folder / "shutdown").chmod(0o755)
        self.seen: list[bytes] = []

    def end(self, instance: str, key: Mapping[str, str], ec2: str = "") -> subprocess.CompletedProcess[str]:
        def look(path: str) -> None:
            self.seen += [line for line in map(_argv, Path("/proc").glob("[0-9]*/cmdline")) if line]

        with serving(instance, REGION, key, look) as metadata:
            said = {
                "SKYRIG_METADATA": metadata,
                "SKYRIG_EC2": ec2 or f"{self.cloud.address}/",
                "SKYRIG_PATIENCE_S": "0",
                "PATH": f"{self.folder}:{os.environ['PATH']}",
            }
            command = [sys.executable, "-I", str(self.program)]
            return subprocess.run(command, env=said, capture_output=True, text=True, timeout=60)


@pytest.fixture
def node(tmp_path: Path, cloud: Cloud) -> Node:
    return Node(tmp_path, cloud)


def _argv(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""  # it has ended


def test_the_instance_is_terminated_and_no_other(cloud: Cloud, node: Node) -> None:
    mine, other = cloud.instance(), cloud.instance()
    key = cloud.role(MAY_END)
    cloud.strict("0")
    done = node.end(mine, key)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (cloud.state(mine), cloud.state(other)) == ("terminated", "running")
    assert not node.off.exists()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc on this machine")
def test_no_credential_is_in_any_argv(cloud: Cloud, node: Node) -> None:
    key = cloud.role(MAY_END)
    node.end(cloud.instance(), key)
    argvs = b"\n".join(node.seen)
    assert str(node.program).encode() in argvs  # it was looked at while it ran
    assert not [name for name in ("SecretAccessKey", "Token", "AccessKeyId") if key[name].encode() in argvs]


def test_a_wrong_signature_is_refused_here_so_a_right_one_counts(cloud: Cloud, node: Node) -> None:
    mine = cloud.instance()
    key = {**cloud.role(MAY_END), "SecretAccessKey": "another"}
    cloud.strict("0")
    done = node.end(mine, key)
    assert done.returncode == 1 and "AuthFailure" in done.stderr
    assert cloud.state(mine) == "running"


def test_who_may_not_end_itself_powers_off_and_says_why(cloud: Cloud, node: Node) -> None:
    mine = cloud.instance()
    key = cloud.role(MAY_NOTHING)
    cloud.strict("0")
    done = node.end(mine, key)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "it powers off: HTTP 403: AccessDenied: " in done.stderr and "ec2:TerminateInstances" in done.stderr
    assert node.off.read_text() == "-P now\n"
    assert not [name for name in ("SecretAccessKey", "Token") if key[name] in done.stderr]


def test_where_ec2_cannot_be_reached_it_powers_off(cloud: Cloud, node: Node) -> None:
    done = node.end("i-0", cloud.role(MAY_END), "http://127.0.0.1:1/")
    assert done.returncode == 1 and "refused" in done.stderr
    assert node.off.read_text() == "-P now\n"


def test_stop_powers_off(node: Node) -> None:
    program = node.folder / "stop"
    program.write_text(programs(HERE / "cases" / "aws-cpu.json")["stop"])
    env = {"PATH": f"{node.folder}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", program], env=env, capture_output=True, text=True)
    assert (done.returncode, node.off.read_text()) == (0, "-P now\n"), done.stderr
