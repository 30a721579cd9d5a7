"""How much of a shape a tenancy may have.

`catalog/data/oci/quotas.json`: by the beginning of a shape's name, the name of the service limit of `compute` that it
counts against, which holds in each availability domain, and its `unit`: cores (OCPUs), gpus or nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from skyrig.catalog import facts
from skyrig.catalog.instances import InstanceType
from skyrig.clouds.cloud import Finding, Wanted
from skyrig.clouds.oci import session, shapes
from skyrig.clouds.oci.door import Door
from skyrig.errors import SkyrigError


def findings(door: Door, zones: Sequence[str], wanted: Wanted, kind: InstanceType) -> list[Finding]:
    """What is wanted against the limit that it counts against, in each zone that has the shape; one zone is enough."""
    name = limit_name(kind)
    if not name:
        told = "look at it yourself: console, Limits, Quotas and Usage, service compute"
        return [Finding(f"limit of {kind.name}", None, told)]
    needed = needs(kind) * wanted.nodes
    try:
        free = {zone: _free(door, zone, name) for zone in zones}
    except SkyrigError as error:
        return [Finding(f"limit {name}", None, f"{needed:g} are wanted; {error.message}")]
    told = "; ".join(f"{zone} has {there:g} free" for zone, there in free.items())
    enough = any(there >= needed for there in free.values())
    more = "" if enough else ": ask for more (console, Limits, Quotas and Usage)"
    return [Finding(f"limit {name}", enough, f"{needed:g} {unit(kind)} wanted, {told}{more}")] if free else []


def limit_name(kind: InstanceType) -> str:
    """The limit that a type counts against; "" where it is not known."""
    return str(_said(kind).get("limit", ""))


def unit(kind: InstanceType) -> str:
    """What that limit counts."""
    return str(_said(kind).get("unit", ""))


def needs(kind: InstanceType) -> float:
    """How much of it one node takes."""
    return {"cores": shapes.of_type(kind.name).ocpus, "gpus": kind.accelerator_count, "nodes": 1.0}[unit(kind)]


def _said(kind: InstanceType) -> dict[str, str]:
    shape, known = shapes.of_type(kind.name).name, facts.of("oci", "quotas")["on_demand"]
    fitting = [prefix for prefix in known if shape.startswith(prefix)]
    found: dict[str, str] = known[max(fitting, key=len)] if fitting else {}
    return found


def _free(door: Door, zone: str, name: str) -> float:
    asked = {"compartmentId": session.tenancy() or door.account, "availabilityDomain": zone}
    path = f"/services/compute/limits/{name}/resourceAvailability"
    said = door.call("GET", path, asked, service="limits")
    return float(said.get("available") or said.get("fractionalAvailability") or 0)
