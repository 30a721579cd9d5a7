"""Cases of clusters on Nebius, and what they register."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from components.wanted import CloudArgs
from tests.clouds.registrations import Registration, record

HERE = Path(__file__).parent
OUTPUTS: dict[str, dict[str, Any]] = {
    "pulumi-python:dynamic/skyrig:HostKey": {"public_key": "ssh-ed25519 of {name}", "private_key": "HOST PRIVATE KEY"},
}
ANSWERS = {"nebius:index/getVpcV1Subnet:getVpcV1Subnet": {"id": "vpcsubnet-e00own", "networkId": "vpcnetwork-e00own"}}


def case(name: str) -> CloudArgs:
    """The arguments of cases/NAME.json."""
    args: CloudArgs = json.loads((HERE / "cases" / f"{name}.json").read_text())
    return args


def registered(args: CloudArgs, **given: Any) -> tuple[list[Registration], dict[str, Any]]:
    """What a cluster registers, without the pickles of dynamic providers, and its description."""
    from components.nebius.cloud import NebiusCloud

    said = {"status": "STOPPED" if args["power"] == "stopped" else "RUNNING", "started": ""}
    nodes = {
        each["id"]: {**said, "public": "" if number else "203.0.113.9", "private": f"10.0.0.{number + 2}"}
        for number, each in enumerate(args["nodes"])
    }
    outputs = {**OUTPUTS, "pulumi-python:dynamic/skyrig:NebiusPower": {"nodes": nodes}}
    made, described = record(
        lambda: NebiusCloud("dev-nebius", args).description, **{"outputs": outputs, "answers": ANSWERS, **given}
    )
    own = [each for each in made if not each.type.startswith("skyrig:")]
    return [attrs.evolve(each, inputs=_told(each.inputs)) for each in own], described


def of_type(made: list[Registration], kind: str) -> dict[str, Registration]:
    """Registrations of a type (the last word of its token), by name; there must be some."""
    found = {each.name: each for each in made if each.type.rsplit(":", 1)[-1] == kind}
    assert found, f"no {kind} was registered"
    return found


def _told(inputs: Any) -> dict[str, Any]:
    return {key: value for key, value in inputs.items() if key != "__provider"}
