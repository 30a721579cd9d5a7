"""Prices of Azure: the public list of retail prices, and, where somebody is logged in, what sizes have and in which
zones.

Without credentials the list alone is asked: then only sizes that the catalog knows get a price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from skyrig.catalog import facts, prices
from skyrig.catalog.refreshed import Refreshed
from skyrig.clouds import web
from skyrig.clouds.azure import arm
from skyrig.clouds.pricing import Gathered, Seen
from skyrig.errors import SkyrigError

SOURCE = "Azure Retail Prices API"

_LIST = "https://prices.azure.com/api/retail/prices"
_SKUS = "2021-07-01"
"""Version of the API of resource SKUs."""
_AT_ONCE = 8

_PASSED_OVER = ("Windows", " Win", "Cloud Services", "CloudServices", "Dedicated Host")
"""In the names of products that are something else than a plain machine."""


def missing() -> str:
    """The list is public: nothing is missing."""
    return ""


def fetch(regions: Sequence[str], today: str) -> Refreshed:
    """Prices of today in `regions`, else in those that the catalog knows. A region that does not answer is told of;
    SkyrigError where none does."""
    found, failed = Gathered("azure", today, SOURCE), dict[str, str]()
    places = list(regions) or sorted({row.region for row in prices.rows("azure")})
    logged_in = not arm.missing()

    def ask(region: str) -> None:
        try:
            items = list(_items(region))
            skus = _skus(region) if logged_in else []
        except SkyrigError as error:
            failed[region] = error.message
            return
        gather(found, region, items, skus)

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        list(pool.map(ask, places))
    if len(failed) == len(places):
        raise SkyrigError(next(iter(failed.values()), "azure: no region to ask"))
    return found.answer(failed)


def gather(found: Gathered, region: str, items: Iterable[Mapping[str, Any]], skus: Iterable[Mapping[str, Any]]) -> None:
    """Take note of a region's retail prices and resource SKUs."""
    for sku in skus:
        if sku.get("resourceType") == "virtualMachines":
            found.describe(described(sku))
            found.offer(region, sku["name"], _zones(sku))
    for name, spot, hourly in hourly_prices(items):
        found.price(region, name, hourly, spot=spot)


def hourly_prices(items: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, bool, float]]:
    """Sizes, whether it is spot, and USD an hour, of retail prices; what is something else is passed over:
    reservations, dev/test, low priority, Windows, licenses."""
    for item in items:
        product, sku = item.get("productName", ""), item.get("skuName", "")
        plain = item.get("type") == "Consumption" and item.get("unitOfMeasure") == "1 Hour"
        if not plain or item.get("currencyCode") != "USD" or not item.get("armSkuName"):
            continue
        if sku.endswith("Low Priority") or any(word in product for word in _PASSED_OVER):
            continue
        if item.get("serviceName") == "Virtual Machines" and not item.get("tierMinimumUnits"):
            yield item["armSkuName"], sku.endswith("Spot"), float(item["retailPrice"])


def described(sku: Mapping[str, Any]) -> Seen:
    """A size as its resource SKU describes it."""
    said = {each["name"]: each["value"] for each in sku.get("capabilities", ())}
    cores = float(said.get("vCPUs", 0))
    known = facts.of("azure", "accelerators")
    gpu = known["families"].get(str(sku.get("family", "")).replace(" ", ""), {})
    count = float(said.get("GPUs") or known["counts"].get(sku["name"], 0))
    whole = known["shares_of_cores"].get(sku.get("family", ""))
    if gpu and whole and cores < whole:
        count = round(cores / whole, 3)
    return Seen(
        name=sku["name"],
        cpus=cores,
        memory_gib=float(said.get("MemoryGB", 0)),
        accelerator=gpu.get("name", "") if count else "",
        accelerator_count=count if gpu else 0,
        accelerator_memory_gib=gpu.get("memory_gib", 0) if count else 0,
        arch="arm64" if said.get("CpuArchitectureType") == "Arm64" else "x86_64",
    )


def _zones(sku: Mapping[str, Any]) -> list[str]:
    """Zones that have a size, less those that the subscription may not use."""
    barred = {
        zone
        for each in sku.get("restrictions", ())
        if each.get("type") == "Zone"
        for zone in each.get("restrictionInfo", {}).get("zones", ())
    }
    return sorted({zone for place in sku.get("locationInfo", ()) for zone in place.get("zones", ())} - barred)


def _items(region: str) -> Iterator[Mapping[str, Any]]:
    """All retail prices of machines in a region, page by page."""
    wanted = f"serviceName eq 'Virtual Machines' and priceType eq 'Consumption' and armRegionName eq '{region}'"
    url = f"{_LIST}?$filter={quote(wanted)}"
    while url:
        page = web.get("azure", url)
        yield from page.get("Items", ())
        url = page.get("NextPageLink") or ""
        if url and not url.startswith((_LIST, _LIST.replace(".com", ".com:443"))):
            raise SkyrigError("azure: the next page of the price list is not said to be at prices.azure.com")


def _skus(region: str) -> list[dict[str, Any]]:
    resources, subscription = arm.usable()
    path = f"/subscriptions/{subscription}/providers/Microsoft.Compute/skus"
    return resources.listed(path, _SKUS, **{"$filter": f"location eq '{region}'"})
