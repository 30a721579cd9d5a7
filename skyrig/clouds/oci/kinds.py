"""The kinds of things that a cluster is made of on Oracle Cloud: how they are listed, and what they cost an hour.

`KINDS` is in the order of removal: what others hang on comes later.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from skyrig.catalog import disks, sources
from skyrig.clouds.oci import shapes
from skyrig.clouds.oci.door import Described, Door
from skyrig.clouds.oci.machines import GONE, OFF

_ENDED = (*GONE, "DELETED", "DELETING", "INACTIVE")
"""States of what is gone, or about to be."""

_PAID_WHEN_OFF = ("BM.", "VM.GPU", "VM.DenseIO")
_FREE_WHEN_OFF = ("BM.Standard", "VM.GPU.A10")
"""Beginnings of shapes that cost the same when they are stopped, and of those among them that do not
(data/oci/power.json names the source)."""


def _free(described: Described, region: str) -> float | None:
    return 0.0


@frozen
class Kind:
    """One kind of thing: `name` in words, and the path that lists it. An identity is the tenancy's or the
    compartment's, and in the home region alone."""

    name: str
    path: str
    hourly: Callable[[Described, str], float | None] = _free
    service: str = "iaas"
    in_tenancy: bool = False

    def found(self, door: Door, tenancy: str) -> list[Described]:
        """All of them that are there, of whatever stack."""
        query = {"compartmentId": tenancy} if self.in_tenancy else {}
        listed = door.listed(self.path, query, service=self.service)
        return [each for each in listed if each.get("lifecycleState") not in _ENDED]


def _instance_hourly(described: Described, region: str) -> float | None:
    shape = str(described.get("shape", ""))
    paid = shape.startswith(_PAID_WHEN_OFF) and not shape.startswith(_FREE_WHEN_OFF)
    if described["lifecycleState"] in OFF and not paid:
        return 0.0
    spot = bool(described.get("preemptibleInstanceConfig"))
    return sources.hourly("oci", region, shapes.type_of(described), spot=spot)


def _volume_hourly(described: Described, region: str) -> float | None:
    return disks.hourly("oci", f"vpus-{described.get('vpusPerGB', 10)}", float(described["sizeInGBs"]))


KINDS = (
    Kind("instance", "/instances", _instance_hourly),
    Kind("boot volume", "/bootVolumes", _volume_hourly),
    Kind("compute cluster", "/computeClusters"),
    Kind("subnet", "/subnets"),
    Kind("security group", "/networkSecurityGroups"),
    Kind("route table", "/routeTables"),
    Kind("security list", "/securityLists"),
    Kind("NAT gateway", "/natGateways"),
    Kind("service gateway", "/serviceGateways"),
    Kind("internet gateway", "/internetGateways"),
    Kind("VCN", "/vcns"),
)
"""What is in a region."""

IDENTITIES = (
    Kind("policy", "/policies", service="identity"),
    Kind("dynamic group", "/dynamicGroups", service="identity", in_tenancy=True),
)
"""What is in the home region, whatever region the machines are in."""
