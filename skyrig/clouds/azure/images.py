"""Machine images on Azure: what a version is made of, whether it is in a region, and what its replicas cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyrig.catalog import facts, instances
from skyrig.clouds.azure import arm, group
from skyrig.clouds.azure.arm import COMPUTE, Arm
from skyrig.clouds.azure.leftovers import GALLERIES
from skyrig.clouds.azure.started import DISKS
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.imagery import MadeImage, Source
from skyrig.errors import BadInput

_GENERALIZED = "OSState/generalized"


def source(builder: ClusterDescription, account: str) -> Source:
    """What a version of a cluster's head is made of: the machine, which is marked as generalized here and cannot be
    started any more. BadInput where it is not there, or not deallocated."""
    where, subscription = arm.usable(account)
    listed = where.listed(
        f"{group.path(subscription, builder.name)}/providers/Microsoft.Compute/virtualMachines", COMPUTE
    )
    machine = builder.nodes[0].incarnation
    there = [each for each in listed if str(each["properties"]["vmId"]) == machine]
    if not there:
        raise BadInput(f"machine {machine} is not there: an image is made of a stopped one")
    path = str(there[0]["id"])
    view = where.get(f"{path}/instanceView", COMPUTE) or {}
    state = arm.power_of(view)
    if state != "deallocated":
        raise BadInput(f"machine {arm.name(path)} is {state}: an image is made of a stopped one", hint="stop it first")
    _generalize(where, path, view)
    properties = there[0]["properties"]
    return Source(path, _size(where, properties), tuple(sorted(_facts(properties, view).items())))


def is_there(made: MadeImage, region: str) -> bool:
    """Whether the version is there, with a replica in the region that is done."""
    version = made.id_in(region)
    if version is None:
        return False
    where, _ = arm.usable(made.account)
    found = where.get(version, GALLERIES, **{"$expand": "ReplicationStatus"})
    summary = ((found or {}).get("properties", {}).get("replicationStatus") or {}).get("summary", ())
    return any(_plain(each.get("region")) == _plain(region) and each.get("state") == "Completed" for each in summary)


def monthly(made: MadeImage) -> float | None:
    """USD a month of its replicas at most, in all regions: as if its disk were full. None where its size is not
    known."""
    said = facts.of("azure", "imaging")
    return float(said["gb_month"]) * int(said["replicas"]) * made.size_gb * len(made.ids) if made.size_gb else None


def _generalize(where: Arm, path: str, view: Mapping[str, Any]) -> None:
    if not any(each.get("code") == _GENERALIZED for each in view.get("statuses", ())):
        where.act(path, "generalize")


def _size(where: Arm, properties: Mapping[str, Any]) -> int:
    """GiB of the boot disk, which the machine itself does not say while it is deallocated."""
    disk = str(properties.get("storageProfile", {}).get("osDisk", {}).get("managedDisk", {}).get("id", ""))
    found = where.get(disk, DISKS) if disk else None
    return int((found or {}).get("properties", {}).get("diskSizeGB") or 0)


def _facts(properties: Mapping[str, Any], view: Mapping[str, Any]) -> dict[str, str]:
    """What machines of the image have to be, as the definition says it: generation of the virtual hardware, and how the
    builder was secured. What a version of a machine under trusted launch holds boots under nothing else."""
    security = properties.get("securityProfile") or {}
    trusted = security.get("securityType") == "TrustedLaunch"
    secure = bool((security.get("uefiSettings") or {}).get("secureBootEnabled"))
    kind = instances.of_cloud("azure").get(properties.get("hardwareProfile", {}).get("vmSize", ""))
    return {
        "arch": kind.arch if kind is not None else "x86_64",
        "generation": str(view.get("hyperVGeneration") or "V2"),
        **({"security": "TrustedLaunch", "secure_boot": "true" if secure else "false"} if trusted else {}),
    }


def _plain(region: object) -> str:
    """A region's name in one form: Azure answers with "East US" where eastus was asked for."""
    return str(region).replace(" ", "").lower()
