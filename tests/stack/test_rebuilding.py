"""A state written around what is there: out of what a program registers, and what is found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from skyrig.errors import SkyrigError
from skyrig.stack import rebuilding
from skyrig.stack.rebuilding import UNKNOWN, Keys, Pair

PROVIDER = "urn:pulumi:dev::skyrig::pulumi:providers:aws::p"
DYNAMIC = "urn:pulumi:dev::skyrig::pulumi:providers:pulumi-python::default"
INSTANCE = "aws:ec2/instance:Instance"


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:dev::skyrig::skyrig:index:Cluster${kind}::{name}"


def registered(kind: str, called: str, provider: str = PROVIDER, **inputs: Any) -> dict[str, Any]:
    """A resource as a preview tells it."""
    depends = {key: [urn("aws:ec2/vpc:Vpc", "vpc")] for key, value in inputs.items() if value == UNKNOWN}
    return {
        "urn": urn(kind, called), "custom": True, "type": kind, "inputs": {"__defaults": ["name"], **inputs},
        "provider": f"{provider}::{UNKNOWN}", "parent": "urn:parent", "propertyDependencies": depends,
        "dependencies": [urn("aws:ec2/vpc:Vpc", "vpc"), urn("aws:ec2/route:Route", "route")],
        "ignoreChanges": ["userDataBase64"],
    }  # fmt: skip


PROGRAM = [
    {"urn": "urn:parent", "custom": False, "type": "skyrig:index:Cluster"},
    {"urn": PROVIDER, "custom": True, "type": "pulumi:providers:aws", "inputs": {"region": "us-east-1"}},
    registered("pulumi-python:dynamic/skyrig:ClientKey", "key", DYNAMIC, stack="dev"),
    registered("pulumi-python:dynamic/skyrig:HostKey", "n0-key", DYNAMIC, node="dev/n0/1"),
    registered("aws:ec2/vpc:Vpc", "vpc", tags={"a": "b"}),
    registered("aws:ec2/route:Route", "route", vpcId=UNKNOWN),
    registered("aws:ec2/subnet:Subnet", "subnet", vpcId=UNKNOWN, password="[secret]", deep={"x": [UNKNOWN]}),
    registered("aws:iam/rolePolicy:RolePolicy", "policy", name="made-up-123"),
    registered(INSTANCE, "n0", tags={"skyrig-node": "n0"}, userDataBase64=UNKNOWN),
]
FOUND = {
    "vpc:Vpc": "vpc-1",
    "subnet:Subnet": "subnet-1",
    "rolePolicy:RolePolicy": "role:real",
    "instance:Instance": "i-1",
}
KEYS = Keys(Pair("ssh CLIENT", "PRIVATE C"), {"n0": Pair("ssh HOST", "PRIVATE H")}, {"n0": {"userDataBase64": "DATA"}})


def written(found: Mapping[str, str] = FOUND, keys: Keys = KEYS) -> tuple[dict[str, dict[str, Any]], list[Any]]:
    """Resources by name, and what was asked for."""
    asked: list[Any] = []

    def identify(kind: str, inputs: Mapping[str, Any]) -> str | None:
        asked.append((kind, dict(inputs)))
        return found.get(kind.rpartition("/")[2])

    state = rebuilding.written(PROGRAM, identify, keys)
    return {each["urn"].rpartition("::")[2]: each for each in state.resources}, asked


def test_what_is_found_stands_in_the_state_and_the_rest_is_left_to_an_up() -> None:
    there, asked = written()
    assert list(there) == ["urn:parent", "p", "default", "key", "n0-key", "vpc", "subnet", "policy", "n0"]
    assert there["vpc"]["id"] == "vpc-1" == there["vpc"]["outputs"]["id"]
    assert dict(asked)["aws:ec2/subnet:Subnet"]["vpcId"] == "vpc-1"  # what it depends on is known by then
    assert there["subnet"]["inputs"] == {"__defaults": ["name"]}  # nothing that is not known, or hidden
    assert there["subnet"]["dependencies"] == [urn("aws:ec2/vpc:Vpc", "vpc")]  # the route is not there yet
    assert there["policy"]["inputs"]["name"] == "real"
    assert there["vpc"]["provider"] == f"{PROVIDER}::{there['p']['id']}" and UNKNOWN not in json.dumps(there)
    assert there["key"]["provider"] == f"{DYNAMIC}::{there['default']['id']}"
    assert "id" not in there["urn:parent"] and there["n0"]["ignoreChanges"] == ["userDataBase64"]


def test_keys_are_secrets_and_those_that_are_missing_are_made_by_the_up() -> None:
    there, _ = written()
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
    assert there["key"]["outputs"]["private_key"] == {**secret, "plaintext": '"PRIVATE C"'}
    assert (there["key"]["id"], there["key"]["outputs"]["public_key"]) == ("dev", "ssh CLIENT")
    assert there["n0-key"]["outputs"]["private_key"] == {**secret, "plaintext": '"PRIVATE H"'}
    assert there["n0"]["inputs"]["userDataBase64"] == {**secret, "plaintext": '"DATA"'}
    none, _ = written(keys=Keys())
    assert "key" not in none and "n0-key" not in none and "userDataBase64" not in none["n0"]["inputs"]


def test_a_node_that_is_not_found_stops_it() -> None:
    with pytest.raises(SkyrigError, match="n0 was there a moment ago"):
        written({**FOUND, "instance:Instance": None})  # type: ignore[dict-item]


def step(op: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "urn": urn(kind, "x"), **more}


def test_an_up_that_would_touch_a_node_is_refused_and_what_costs_is_named() -> None:
    fine = [step("same", INSTANCE), step("update", INSTANCE, diffReasons=["tags", "userDataReplaceOnChange"]),
            step("create", "aws:ec2/natGateway:NatGateway"), step("create", "aws:ec2/route:Route")]  # fmt: skip
    assert rebuilding.refuse_nodes({"steps": fine}) == ["x"]
    assert rebuilding.refuse_nodes({}) == []
    for bad in (
        step("create", INSTANCE),
        step("delete", INSTANCE),
        step("replace", INSTANCE, replaceReasons=["launchTemplate"]),
        step("update", INSTANCE, diffReasons=["userDataBase64"]),
        step("delete", "gcp:compute/instance:Instance"),
    ):
        with pytest.raises(SkyrigError, match=f"it would {bad['op']} x"):
            rebuilding.refuse_nodes({"steps": [*fine, bad]})
