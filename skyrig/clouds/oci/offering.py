"""Where Oracle Cloud has a shape."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from skyrig.clouds.oci import shapes
from skyrig.clouds.oci.door import Door


def domains(door: Door) -> list[str]:
    """The availability domains of a region, by their names, which are the tenancy's own."""
    there = door.listed("/availabilityDomains", service="identity")
    return sorted(str(each["name"]) for each in there)


def zones(door: Door, instance_type: str) -> list[str]:
    """Availability domains of a region that have a type's shape for this compartment, sorted."""
    wanted, found = shapes.of_type(instance_type).name, domains(door)
    with ThreadPoolExecutor(max_workers=3) as pool:
        has = pool.map(lambda zone: _has(door, zone, wanted), found)
        return [zone for zone, there in zip(found, has, strict=True) if there]


def _has(door: Door, zone: str, shape: str) -> bool:
    return any(each.get("shape") == shape for each in door.listed("/shapes", {"availabilityDomain": zone}))
