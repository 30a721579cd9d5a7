"""Where Google Cloud has a type of machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from skyrig.catalog import instances
from skyrig.clouds.gcp.door import Door


def zones(door: Door, region: str, instance_type: str) -> list[str]:
    """Zones of a region that have a machine type, or TPU slices of an accelerator type; sorted."""
    kind = instances.of_cloud("gcp").get(instance_type)
    if kind is not None and kind.fabric == "tpu-ici":
        return _of_slices(door, region, instance_type)
    there = door.everywhere("machineTypes", {"filter": f'name eq "{instance_type}"', "maxResults": "500"})
    found = {str(each["zone"]).rpartition("/")[2] for each in there}
    return sorted(zone for zone in found if zone.startswith(f"{region}-"))


def _of_slices(door: Door, region: str, accelerator_type: str) -> list[str]:
    places = door.listed("locations", "locations", service="tpu")
    here = sorted(each["locationId"] for each in places if each["locationId"].startswith(f"{region}-"))
    with ThreadPoolExecutor(max_workers=8) as pool:
        path = "locations/{}/acceleratorTypes/" + accelerator_type
        found = pool.map(lambda zone: door.there(path.format(zone), service="tpu"), here)
        return [zone for zone, said in zip(here, found, strict=True) if said is not None]
