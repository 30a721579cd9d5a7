"""Cases of clusters of pods, and what they register."""

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
    "pulumi-python:dynamic/skyrig:KubernetesRun": {"job": "job of {name}"},
}
MACHINE: dict[str, Any] = {
    "region": "lab", "zone": "", "capacity": "on-demand", "network_tier": "standard", "image": "", "disk_gb": 256,
    "disk_tier": "medium", "labels": {}, "network": "", "egress": "", "ssh_from": [], "account": "team.0123456789ab",
    "reaches": [],
}  # fmt: skip


def case(name: str) -> CloudArgs:
    """The arguments of cases/NAME.json, in which `pods` is plain data and what all cases share is left out."""
    said = json.loads((HERE / "cases" / f"{name}.json").read_text())
    machine = {**MACHINE, **said["machine"], "pods": json.dumps(said["machine"].get("pods", {}))}
    nodes = [{"id": node, "group": "main", "version": 1} for node in said.get("ids", ["n0"])]
    shared = {
        "cloud": "kubernetes", "stack": "dev", "accelerator": "", "accelerator_count": 0, "cpus": 0,
        "isolation": "auto", "ports": [], "power": "up", "starts": 0, "owner": "ada@example.org", "task": "train",
        "public_key": "ssh-ed25519 AAAA skyrig-dev", "nodes": nodes,
    }  # fmt: skip
    given = {key: value for key, value in said.items() if key not in ("ids", "machine", "sources")}
    args: CloudArgs = {**shared, **given, "machine": machine}  # type: ignore[typeddict-item]
    return args


def registered(args: CloudArgs) -> tuple[list[Registration], dict[str, Any]]:
    """What a cluster registers, without the pickles of dynamic providers, and its description."""
    from components.kubernetes.cloud import KubernetesCloud

    pods = {each["id"]: pod(each["id"], number) for number, each in enumerate(args["nodes"])}
    outputs = {**OUTPUTS, "pulumi-python:dynamic/skyrig:KubernetesPods": {"nodes": pods}}
    made, described = record(lambda: KubernetesCloud("dev-kubernetes", args).description, outputs=outputs)
    own = [each for each in made if not each.type.startswith("skyrig:")]
    return [attrs.evolve(each, inputs=_told(each.inputs)) for each in own], described


def pod(node: str, number: int) -> dict[str, Any]:
    """What is known of a pod."""
    return {"uid": f"uid-{node}", "name": f"pod-{node}", "ip": f"10.42.0.{number + 2}", "machine": f"m{number}",
            "phase": "Running", "selector": f"skyrig-node={node}"}  # fmt: skip


def of_type(made: list[Registration], kind: str) -> dict[str, Registration]:
    """Registrations of a type (the last word of its token), by name; there must be some."""
    found = {each.name: each for each in made if each.type.rsplit(":", 1)[-1] == kind}
    assert found, f"no {kind} was registered"
    return found


def _told(inputs: Any) -> dict[str, Any]:
    return {key: value for key, value in inputs.items() if key != "__provider"}
