"""Prices of Oracle Cloud: its public price list, which is the same for all regions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skyrig.catalog import facts, prices
from skyrig.catalog.prices import ANYWHERE, Price
from skyrig.catalog.refreshed import Refreshed
from skyrig.clouds import web
from skyrig.clouds.pricing import Gathered

SOURCE = "Oracle's public price list"

_LIST = "https://apexapps.oracle.com/pls/apex/cetools/api/v1/products/?currencyCode=USD"
_FLEXIBLE = re.compile(r"(?P<shape>.+)\$_(?P<cpus>\d+)_(?P<memory>\d+)")


def missing() -> str:
    """The list is public: nothing is missing."""
    return ""


def fetch(regions: Sequence[str], today: str) -> Refreshed:
    """Prices of today, which hold in all regions."""
    return gathered(web.get("oci", _LIST).get("items", ()), today).answer()


def gathered(products: Iterable[Mapping[str, Any]], today: str) -> Gathered:
    """What a list of products comes to, for the shapes that the catalog has; the list names no shapes."""
    found, listed = Gathered("oci", today, SOURCE), units(products)
    said = facts.of("oci", "products")
    for row in prices.rows("oci"):
        hourly = _hourly(row, listed, said)
        if hourly is None:
            found.offer(ANYWHERE, row.instance_type, [""])  # it is still there, under a product that is not known
            continue
        found.price(ANYWHERE, row.instance_type, hourly)
        if row.spot is not None:
            found.price(ANYWHERE, row.instance_type, hourly * said["preemptible_share"], spot=True)
    return found


def units(products: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """USD an hour by the end of a product's name and its metric, as one pays as one goes; products of other kinds are
    passed over, and free tiers too."""
    found = {}
    for product in products:
        name = str(product.get("displayName", "")).rpartition("Compute - ")[2].strip()
        metric = str(product.get("metricName", ""))
        for place in product.get("currencyCodeLocalizations", ()):
            if place.get("currencyCode") != "USD" or not metric.endswith("Per Hour"):
                continue
            paid = [
                float(each["value"])
                for each in place.get("prices", ())
                if each.get("model") == "PAY_AS_YOU_GO" and float(each.get("value") or 0) > 0
            ]
            if paid:
                found[name, metric] = max(paid)
    return found


def _hourly(row: Price, listed: Mapping[tuple[str, str], float], said: Mapping[str, Any]) -> float | None:
    gpu = listed.get((said["gpus"].get(row.instance_type, ""), "GPU Per Hour"))
    if gpu is not None:
        return gpu * row.accelerator_count
    flexible = _FLEXIBLE.fullmatch(row.instance_type)
    product = said["flexible"].get(flexible["shape"], "") if flexible else ""
    core = listed.get((f"{product} - OCPU", "OCPU Per Hour"))
    memory = listed.get((f"{product} - Memory", "Gigabyte Per Hour"))
    if not product or core is None or memory is None:
        return None
    return row.cpus / 2 * core + row.memory_gib * memory
