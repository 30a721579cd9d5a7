"""A cluster on AWS whose state is lost gets a new stack around it: our verbs, the real engine and Terraform provider,
and moto as AWS."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from account import REGION, AwsUser
from killing import killed_when

from skyrig.clouds.aws import userdata

pytestmark = [pytest.mark.e2e, pytest.mark.soak]  # minutes of waiting for AWS
LONG_S = 400.0


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, aws_url: str) -> Iterator[AwsUser]:
    """Somebody with two small GPU nodes on AWS, whose second one is stopped."""
    made = AwsUser(tmp_path_factory.mktemp("adopt"), f"adopt{time.monotonic_ns() % 100000}", aws_url)
    words = ["up", "--infra", f"aws/{REGION}/{REGION}b", "-t", "g6.xlarge", "--nodes", "2", "--image-id", made.image()]
    made.run(*words, "--ports", "8000-8010", "--disk-tier", "low", "-y", timeout=LONG_S)
    made.client("ec2").stop_instances(InstanceIds=[made.instances()["n1"]["InstanceId"]])
    yield made
    made.run("down", "-y", check=None, timeout=LONG_S)


def lose(person: AwsUser, *, keys: bool, config: bool) -> None:
    """Lose the state and the passphrase; with `keys` and `config` also what the home folder and the clone have."""
    shutil.rmtree(person.home / "state")
    (person.home / "passphrase").unlink()
    if keys:
        shutil.rmtree(person.home / "stacks")
    if config:
        _config(person).unlink()


def _config(person: AwsUser) -> Path:
    return person.clone / "stacks" / f"Pulumi.{person.stack}.yaml"


def there(person: AwsUser) -> dict[str, tuple[str, str]]:
    """Instance and power by node, past Skyrig."""
    return {node: (each["InstanceId"], each["State"]["Name"]) for node, each in person.instances().items()}


def described(person: AwsUser) -> dict[str, dict[str, Any]]:
    """Nodes by id, as the stack exports them."""
    cluster = json.loads(person.pulumi("stack", "output", "--json").stdout)["cluster"]
    return {node["id"]: node for node in cluster["nodes"]}


def adopted(person: AwsUser, *more: str) -> str:
    return person.run("adopt", "-c", person.stack, "--infra", f"aws/{REGION}", *more, timeout=LONG_S).told()


def test_with_the_clients_key_at_hand_nothing_is_changed(person: AwsUser) -> None:
    before, nodes, config = there(person), described(person), _config(person).read_text().partition("config:")[2]
    lose(person, keys=False, config=True)
    [found] = person.json("adopt", "--infra", f"aws/{REGION}")["stacks"]
    assert (found["stack"], found["state"], found["machines"]) == (person.stack, "lost", 2)
    said = adopted(person)
    assert f"{person.stack}: adopted" in said and "let in" not in said
    assert there(person) == before
    assert described(person) == {**nodes, "n1": {**nodes["n1"], "power": "stopped"}}  # which nobody had looked at
    assert (
        _config(person).read_text().partition("config:")[2].split("encryptionsalt")[0]
        == config.split("encryptionsalt")[0]
    )
    done = person.pulumi("preview", "--expect-no-changes", "--refresh")
    assert done.returncode == 0, done.stdout + done.stderr
    again = person.run("adopt", "-c", person.stack, "--infra", f"aws/{REGION}", check=2, timeout=LONG_S)
    assert "is at hand: there is nothing to adopt" in again.told()


def test_host_keys_are_what_the_machines_were_told(person: AwsUser) -> None:
    ec2 = person.client("ec2")
    for node, said in described(person).items():
        instance = person.instances()[node]["InstanceId"]
        value = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")["UserData"]["Value"]
        told = userdata.read(value)
        assert told is not None and told.host_key is not None and told.host_key.public == said["host_key"]
        assert "PRIVATE KEY" in told.host_key.private
    assert b"PRIVATE KEY" not in person.pulumi("stack", "export").stdout


def test_killed_half_way_it_goes_on_and_says_that_nobody_gets_in(person: AwsUser) -> None:
    before = there(person)
    lose(person, keys=True, config=True)
    file = person.home / "state" / ".pulumi" / "stacks" / "skyrig" / f"{person.stack}.json"
    words = ["adopt", "-c", person.stack, "--infra", f"aws/{REGION}"]
    killed_when(person, words, lambda: file.exists() and b"skyrig:index:AwsCloud" in file.read_bytes())
    said = adopted(person)
    assert "the client's key is lost and a new one was not let in (" in said and "n1: it is not up" in said
    assert there(person) == before
    assert person.pulumi("preview", "--expect-no-changes", "--refresh").returncode == 0
    assert "was not let in" in adopted(person)  # it is tried again


def test_a_state_without_its_passphrase_is_put_aside(person: AwsUser) -> None:
    before = there(person)
    (person.home / "passphrase").write_text("another one")
    refused = person.run("adopt", "-c", person.stack, "--infra", f"aws/{REGION}", check=2, timeout=LONG_S)
    assert "put the passphrase back" in refused.told()
    said = adopted(person, "-y")
    [aside] = (person.home / "state" / ".pulumi" / "stacks" / "skyrig").glob(f"{person.stack}.json.lost-*")
    assert f"is put aside: {aside}" in said and there(person) == before
    assert person.pulumi("preview", "--expect-no-changes", "--refresh").returncode == 0


def test_by_tag_takes_all_of_it_away_with_no_state(person: AwsUser) -> None:
    known = person.run("down", "--by-tag", "--infra", f"aws/{REGION}", timeout=LONG_S)
    assert "known" in known.told() and len(there(person)) == 2
    lose(person, keys=True, config=True)
    words = ["down", "--by-tag", "--infra", f"aws/{REGION}"]
    refused = person.run(*words, check=2, timeout=LONG_S)
    assert f"remove {person.stack} on aws/{REGION}: 2 machines" in refused.told() and len(there(person)) == 2
    person.run(*words, "-y", timeout=LONG_S)
    ec2, mine = person.client("ec2"), person.mine
    assert there(person) == {} and ec2.describe_vpcs(**mine)["Vpcs"] == []
    assert ec2.describe_addresses(**mine)["Addresses"] == []
    assert ec2.describe_security_groups(**mine)["SecurityGroups"] == []
    assert ec2.describe_launch_templates(**mine)["LaunchTemplates"] == []
    roles = person.client("iam").list_roles()["Roles"]
    assert [role["RoleName"] for role in roles if person.stack in role["RoleName"]] == []
