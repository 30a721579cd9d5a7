"""Cases of clusters on Google Cloud, and what they register."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from components.wanted import CloudArgs
from tests.clouds.registrations import Registration, record

HERE = Path(__file__).parent
OUTPUTS: dict[str, dict[str, Any]] = {
    "gcp:compute/instanceGroup:InstanceGroup": {"selfLink": "link of {name}"},
    "gcp:compute/instance:Instance": {
        "instanceId": "id of {name}",
        "selfLink": "link of {name}",
        "networkInterfaces": [{"networkIp": "10.128.0.9"}],
    },
    "gcp:compute/address:Address": {"address": "203.0.113.9"},
    "gcp:compute/network:Network": {"selfLink": "link of {name}"},
    "gcp:compute/subnetwork:Subnetwork": {"selfLink": "link of {name}"},
    "gcp:compute/resourcePolicy:ResourcePolicy": {"selfLink": "link of {name}"},
    "gcp:serviceaccount/account:Account": {"email": "nodes@p.example", "member": "serviceAccount:nodes@p.example"},
    "gcp:storage/bucket:Bucket": {"url": "gs://of {name}"},
    "pulumi-python:dynamic/skyrig:HostKey": {"public_key": "ssh-ed25519 of {name}", "private_key": "HOST PRIVATE KEY"},
}
ANSWERS: dict[str, dict[str, Any]] = {
    "gcp:compute/getNetwork:getNetwork": {
        "selfLink": "link of lab",
        "subnetworksSelfLinks": [
            "https://c.example/projects/p/regions/us-central1/subnetworks/lab-a",
            "https://c.example/projects/p/regions/europe-west4/subnetworks/lab-b",
        ],
    },
    "gcp:compute/getSubnetwork:getSubnetwork": {"ipCidrRange": "10.0.0.0/16"},
}


def case(name: str) -> CloudArgs:
    """The arguments of cases/NAME.json."""
    args: CloudArgs = json.loads((HERE / "cases" / f"{name}.json").read_text())
    return args


def registered(args: CloudArgs, **given: Any) -> tuple[list[Registration], dict[str, Any]]:
    """What a cluster registers, without the pickles of dynamic providers, and its description."""
    from components.gcp.cloud import GcpCloud

    status = "TERMINATED" if args["power"] == "stopped" else "RUNNING"
    nodes = {each["id"]: {"status": status, "started": "2026-11-21T20:00:00Z"} for each in args["nodes"]}
    tpu = {"networkEndpoints": endpoints(len(args["nodes"]))}
    outputs = {**OUTPUTS, "pulumi-python:dynamic/skyrig:GcpPower": {"nodes": nodes}, "gcp:tpu/v2Vm:V2Vm": tpu}
    made, described = record(
        lambda: GcpCloud("dev-gcp", args).description, **{"outputs": outputs, "answers": ANSWERS, **given}
    )
    own = [each for each in made if not each.type.startswith("skyrig:")]
    return [attrs.evolve(each, inputs=_told(each.inputs)) for each in own], described


def endpoints(count: int) -> list[dict[str, Any]]:
    """What a TPU slice says of its hosts."""
    return [
        {"ipAddress": f"10.128.0.{number + 2}", "accessConfigs": [{"externalIp": f"203.0.113.{number + 2}"}]}
        for number in range(count)
    ]


def of_type(made: list[Registration], kind: str) -> dict[str, Registration]:
    """Registrations of a type (the last word of its token), by name; there must be some."""
    found = {each.name: each for each in made if each.type.rsplit(":", 1)[-1] == kind}
    assert found, f"no {kind} was registered"
    return found


def _told(inputs: Any) -> dict[str, Any]:
    return {key: value for key, value in inputs.items() if key != "__provider"}
