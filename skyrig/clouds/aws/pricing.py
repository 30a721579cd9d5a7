"""Prices of AWS: its price list, its spot prices, and what each zone has, region by region."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

from skyrig.catalog import facts
from skyrig.catalog.refreshed import Refreshed
from skyrig.clouds.aws import session
from skyrig.clouds.pricing import Gathered, Seen
from skyrig.errors import SkyrigError

SOURCE = "AWS price list and EC2 APIs"

_HOME = "us-east-1"
"""Where the price list is served, and regions are listed."""

_WANTED = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "operation": "RunInstances",
}
"""Attributes of a product that is a plain machine on demand."""

_AT_ONCE = 6


def missing() -> str:
    """What is missing for asking AWS from here; "" where nothing is."""
    return session.missing()


def fetch(regions: Sequence[str], today: str) -> Refreshed:
    """Prices of today in `regions`, else in all regions that the account may use. A region that does not answer is
    told of; SkyrigError where none does."""
    found, failed = Gathered("aws", today, SOURCE), dict[str, str]()
    places = list(regions) or _regions()

    def ask(region: str) -> None:
        mine = Gathered("aws", today, SOURCE)
        try:
            _region(region, mine)
        except SkyrigError as error:
            failed[region] = error.message
            return
        for held, more in zip(_parts(found), _parts(mine), strict=True):
            held.update(more)

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        list(pool.map(ask, places))
    if len(failed) == len(places):
        raise SkyrigError(next(iter(failed.values()), "aws: no region to ask"))
    return found.answer(failed)


def products(listed: Iterable[str | Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """Types and their USD an hour on demand, of the entries of a price list; what is something else is passed over."""
    for entry in listed:
        said = json.loads(entry) if isinstance(entry, str) else entry
        about = said.get("product", {}).get("attributes", {})
        if about.get("marketoption", "OnDemand") != "OnDemand" or not about.get("instanceType"):
            continue
        if any(about.get(name) != value for name, value in _WANTED.items()):
            continue
        for term in said.get("terms", {}).get("OnDemand", {}).values():
            for rate in term.get("priceDimensions", {}).values():
                if rate.get("unit") == "Hrs" and "USD" in rate.get("pricePerUnit", {}):
                    yield about["instanceType"], float(rate["pricePerUnit"]["USD"])


def described(kind: Mapping[str, Any]) -> Seen:
    """A type as EC2 describes it."""
    name, count, memory = _accelerator(kind)
    disks = kind.get("InstanceStorageInfo", {}).get("Disks", ())
    archs = kind.get("ProcessorInfo", {}).get("SupportedArchitectures", ("x86_64",))
    return Seen(
        name=kind["InstanceType"],
        cpus=kind["VCpuInfo"]["DefaultVCpus"],
        memory_gib=kind["MemoryInfo"]["SizeInMiB"] / 1024,
        accelerator=name,
        accelerator_count=count,
        accelerator_memory_gib=memory,
        arch="arm64" if "arm64" in archs else "x86_64",
        local_disks=(disks[0]["Count"], disks[0]["SizeInGB"]) if disks else (0, 0),
    )


def _accelerator(kind: Mapping[str, Any]) -> tuple[str, float, float]:
    """Name, count and memory of each in GiB; a name with the memory where several sizes have one name."""
    gpus = kind.get("GpuInfo", {}).get("Gpus", ())
    chips = kind.get("NeuronInfo", {}).get("NeuronDevices", ()) or kind.get("InferenceAcceleratorInfo", {}).get(
        "Accelerators", ()
    )
    for each in (*gpus, *chips):
        memory = each.get("MemoryInfo", {}).get("SizeInMiB", 0) / 1024
        names = facts.of("aws", "accelerators").get("names", {})
        name = names.get(f"{each.get('Name', '')} {memory:.0f}", names.get(each.get("Name", ""), each.get("Name", "")))
        count = each.get("LogicalGpuCount", each.get("Count", 1)) * each.get("GpuPartitionSize", 1)
        return name, float(count), round(memory, 1)
    return "", 0, 0


def _regions() -> list[str]:
    with session.asking("regions"):
        answer = session.client("ec2", _HOME).describe_regions(AllRegions=False)
    return sorted(each["RegionName"] for each in answer["Regions"])


def _region(region: str, found: Gathered) -> None:
    """Take note of all that one region has."""
    ec2 = session.client("ec2", region)
    with session.asking(f"types of {region}"):
        for page in ec2.get_paginator("describe_instance_types").paginate():
            for kind in page["InstanceTypes"]:
                found.describe(described(kind))
    with session.asking(f"spot prices of {region}"):
        by_zone = _spot(ec2)
    with session.asking(f"zones of {region}"):
        for page in ec2.get_paginator("describe_instance_type_offerings").paginate(LocationType="availability-zone"):
            for each in page["InstanceTypeOfferings"]:
                found.offer(region, each["InstanceType"], [each["Location"]])
    with session.asking(f"price list of {region}"):
        for page in (
            session.client("pricing", _HOME)
            .get_paginator("get_products")
            .paginate(ServiceCode="AmazonEC2", Filters=[*_filters({**_WANTED, "regionCode": region})])
        ):
            for name, hourly in products(page["PriceList"]):
                found.price(region, name, hourly)
    for (name, _), hourly in by_zone.items():
        found.price(region, name, hourly, spot=True)
    for (_, name), zones in found.zones.items():
        prices = {zone: by_zone.get((name, zone), float("inf")) for zone in sorted(zones)}
        zones[:] = sorted(prices, key=prices.__getitem__)


def _spot(ec2: Any) -> dict[tuple[str, str], float]:
    """Spot prices of now by type and zone."""
    now, found = datetime.now(timezone.utc), dict[tuple[str, str], float]()
    pages = ec2.get_paginator("describe_spot_price_history").paginate(ProductDescriptions=["Linux/UNIX"], StartTime=now)
    for page in pages:
        for each in page["SpotPriceHistory"]:
            found.setdefault((each["InstanceType"], each["AvailabilityZone"]), float(each["SpotPrice"]))
    return found


def _filters(wanted: Mapping[str, str]) -> Iterator[dict[str, str]]:
    return ({"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items())


def _parts(found: Gathered) -> tuple[dict[Any, Any], ...]:
    return (found.types, found.on_demand, found.spot, found.zones)
