"""Prices of Google Cloud: its machine types in all zones, and its price list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from skyrig.catalog import facts
from skyrig.catalog.refreshed import Refreshed
from skyrig.clouds.gcp import session
from skyrig.clouds.gcp.door import Described, Door
from skyrig.clouds.gcp.skus import PriceList
from skyrig.clouds.pricing import Gathered, Seen

SOURCE = "Compute Engine and Cloud Billing Catalog APIs"

_SERVICE = "/services/6F81-5844-456A/skus"
"""Compute Engine in the price list."""

_FIELDS = (
    "nextPageToken,items/*/warning/code,items/*/machineTypes(name,zone,guestCpus,memoryMb,accelerators,architecture,"
    "bundledLocalSsds,deprecated)"
)


def missing() -> str:
    """What is missing for asking Google Cloud from here; "" where nothing is."""
    return session.missing()


def fetch(regions: Sequence[str], today: str) -> Refreshed:
    """Prices of today in `regions`, else in all."""
    door = Door(session.project())
    with ThreadPoolExecutor(max_workers=2) as pool:
        listing = pool.submit(_price_list, door)
        kinds = door.everywhere("machineTypes", {"maxResults": "500", "fields": _FIELDS})
        return gathered(kinds, listing.result(), regions, today).answer()


def gathered(kinds: Sequence[Described], prices: PriceList, regions: Sequence[str], today: str) -> Gathered:
    """What machine types of all zones and a price list come to."""
    found = Gathered("gcp", today, SOURCE)
    there: set[str] = set()
    for kind in kinds:
        zone = str(kind["zone"]).rpartition("/")[2]
        region = zone.rpartition("-")[0]
        if (regions and region not in regions) or kind.get("deprecated", {}).get("state") in ("DELETED", "OBSOLETE"):
            continue
        there.add(region)
        found.describe(described(kind))
        first = (region, kind["name"]) not in found.zones
        found.offer(region, kind["name"], [zone])
        for spot in (False, True) if first else ():
            hourly = prices.machine(kind, region, spot)
            if hourly is not None:
                found.price(region, kind["name"], hourly, spot=spot)
    for name, region, spot, hourly in prices.chips():
        if region in there:
            found.price(region, name, hourly, spot=spot)
    return found


def described(kind: Mapping[str, Any]) -> Seen:
    """A machine type as Compute Engine describes it."""
    gpu = next(iter(kind.get("accelerators", ())), None)
    known = facts.of("gcp", "skus")["gpus"].get(gpu["guestAcceleratorType"], {}) if gpu else {}
    disks = kind.get("bundledLocalSsds", {}).get("partitionCount", 0)
    return Seen(
        name=kind["name"],
        cpus=kind["guestCpus"],
        memory_gib=kind["memoryMb"] / 1024,
        accelerator=known.get("name", gpu["guestAcceleratorType"]) if gpu else "",
        accelerator_count=gpu["guestAcceleratorCount"] if gpu else 0,
        accelerator_memory_gib=known.get("memory_gib", 0),
        arch="arm64" if kind.get("architecture") == "ARM64" else "x86_64",
        local_disks=(disks, 375) if disks else (0, 0),
    )


def _price_list(door: Door) -> PriceList:
    found = PriceList()
    for page in door.pages(_SERVICE, {"pageSize": "5000", "currencyCode": "USD"}, service="cloudbilling"):
        found.add(page.get("skus", ()))
    return found
