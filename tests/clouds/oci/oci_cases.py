"""Cases of clusters on Oracle Cloud, and what they register."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import attrs

from components.wanted import CloudArgs
from tests.clouds.registrations import Registration, record

HERE = Path(__file__).parent
TENANCY = "ocid1.tenancy.oc1..lab"
OUTPUTS: dict[str, dict[str, Any]] = {
    "oci:Core/instance:Instance": {"privateIp": "10.128.0.9", "publicIp": "203.0.113.9"},
    "pulumi-python:dynamic/skyrig:HostKey": {"public_key": "ssh-ed25519 of {name}", "private_key": "HOST PRIVATE KEY"},
}
ANSWERS: dict[str, dict[str, Any]] = {
    "oci:Core/getImages:getImages": {
        "images": [
            {"displayName": "Canonical-Ubuntu-24.04-Minimal-2026.10.31-0", "id": "ocid1.image.oc1.iad.minimal"},
            {"displayName": "Canonical-Ubuntu-24.04-2026.10.31-0", "id": "ocid1.image.oc1.iad.newest"},
            {"displayName": "Canonical-Ubuntu-24.04-2026.09.30-0", "id": "ocid1.image.oc1.iad.older"},
        ]
    },
    "oci:Core/getServices:getServices": {
        "services": [
            {"id": "ocid1.service.oc1.iad.storage", "cidrBlock": "oci-iad-objectstorage"},
            {"id": "ocid1.service.oc1.iad.all", "cidrBlock": "all-iad-services-in-oracle-services-network"},
        ]
    },
    "oci:Identity/getRegionSubscriptions:getRegionSubscriptions": {
        "regionSubscriptions": [
            {"regionName": "us-ashburn-1", "isHomeRegion": False},
            {"regionName": "eu-frankfurt-1", "isHomeRegion": True},
        ]
    },
    "oci:Core/getVcn:getVcn": {"compartmentId": "ocid1.compartment.oc1..net", "cidrBlocks": ["10.0.0.0/16"]},
    "oci:Core/getSubnets:getSubnets": {
        "subnets": [
            {"displayName": name, "id": f"ocid1.subnet.oc1.iad.{name}", "prohibitPublicIpOnVnic": private}
            for name, private in (("front", False), ("other", False), ("back", True))
        ]
    },
    "oci:ObjectStorage/getNamespace:getNamespace": {"namespace": "labspace"},
}


def case(name: str) -> CloudArgs:
    """The arguments of cases/NAME.json."""
    args: CloudArgs = json.loads((HERE / "cases" / f"{name}.json").read_text())
    return args


def registered(args: CloudArgs, **given: Any) -> tuple[list[Registration], dict[str, Any]]:
    """What a cluster registers, without the pickles of dynamic providers, and its description."""
    from components.oci.cloud import OciCloud

    status = "STOPPED" if args["power"] == "stopped" else "RUNNING"
    nodes = {each["id"]: {"status": status, "started": ""} for each in args["nodes"]}
    outputs = {**OUTPUTS, "pulumi-python:dynamic/skyrig:OciPower": {"nodes": nodes}}
    made, described = record(
        lambda: OciCloud("dev-oci", args).description, **{"outputs": outputs, "answers": ANSWERS, **given}
    )
    own = [each for each in made if not each.type.startswith("skyrig:")]
    return [attrs.evolve(each, inputs=_told(each.inputs)) for each in own], described


def of_type(made: list[Registration], kind: str) -> dict[str, Registration]:
    """Registrations of a type (the last word of its token), by name; there must be some."""
    found = {each.name: each for each in made if each.type.rsplit(":", 1)[-1] == kind}
    assert found, f"no {kind} was registered"
    return found


def user_data(instance: Registration) -> str:
    """What an instance is told at its first boot."""
    said = next(iter(instance.inputs["metadata"]["user_data"].values())) if isinstance(
        instance.inputs["metadata"]["user_data"], dict
    ) else instance.inputs["metadata"]["user_data"]  # fmt: skip
    return base64.b64decode(said).decode()


def _told(inputs: Any) -> dict[str, Any]:
    return {key: value for key, value in inputs.items() if key != "__provider"}
