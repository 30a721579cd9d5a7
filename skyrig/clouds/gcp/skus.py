"""Google's price list: SKUs of cores, memory, GPUs, local disks and TPU chips, and what whole machines cost by them.

`catalog/data/gcp/skus.json` says how SKUs describe what: families of machine types by the beginning of their names,
GPUs by their accelerator type, TPUs by their generation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import field, frozen

from skyrig.catalog import facts

_HOURS_A_MONTH = 730
_GIB_OF_A_LOCAL_SSD = 375

_PASSED_OVER = re.compile(r"sole tenancy|custom|premium|reserved|commitment|suspended|dws|calendar mode", re.IGNORECASE)
"""What is sold on other terms than a plain machine of now."""

_PART = re.compile(r"(?:spot preemptible )?(?P<family>.+?) (?P<part>core|ram) running in", re.IGNORECASE)
_GPU = re.compile(r"(?P<name>.+?) gpu (?:running in|attached to spot preemptible vms)", re.IGNORECASE)
_TPU = re.compile(r"\btpu[- ]?(?P<generation>v\d+[a-z]*)", re.IGNORECASE)

_USAGES = {"OnDemand": False, "Preemptible": True}
"""Whether it is spot, by usage type; other types are commitments."""


@frozen
class PriceList:
    """USD an hour of one unit, by what it is (a family's core or ram, a gpu, a tpu chip, a GiB of local disk), region,
    and whether it is spot."""

    units: dict[tuple[str, str, bool], float] = field(factory=dict)

    def add(self, skus: Iterable[Mapping[str, Any]]) -> None:
        """Take note of SKUs; what no machine is made of is passed over."""
        for sku in skus:
            category = sku.get("category", {})
            usage, hourly = _USAGES.get(category.get("usageType", "")), unit_price(sku)
            if usage is None or hourly is None or _PASSED_OVER.search(sku.get("description", "")):
                continue
            what = _what(sku["description"], category)
            for region in sku.get("serviceRegions", ()) if what else ():
                self.units[what, region, usage] = hourly

    def machine(self, kind: Mapping[str, Any], region: str, spot: bool) -> float | None:
        """USD an hour of a machine type as Compute Engine describes it; None where a part of it has no price."""
        family = _family(kind["name"])
        if family is None:
            return None
        parts: list[tuple[float, float | None]] = [
            (kind["guestCpus"], self._of([f"{family} core"], region, spot)),
            (kind["memoryMb"] / 1024, self._of([f"{family} ram"], region, spot)),
        ]
        for gpu in kind.get("accelerators", ()):
            names = facts.of("gcp", "skus")["gpus"].get(gpu["guestAcceleratorType"], {}).get("skus", ())
            each = self._of([f"gpu {name}".casefold() for name in names], region, spot)
            parts.append((gpu["guestAcceleratorCount"], each))
        disks = kind.get("bundledLocalSsds", {}).get("partitionCount", 0)
        if (
            disks
        ):  # of the machine itself, and paid for all the same; without a price in the list they are in its other parts
            parts.append((disks * _GIB_OF_A_LOCAL_SSD, self._of(["local ssd"], region, spot) or 0.0))
        if any(each is None for _, each in parts):
            return None
        return sum(amount * (each or 0.0) for amount, each in parts)

    def chips(self) -> Iterator[tuple[str, str, bool, float]]:
        """TPU chips: the name of their price, region, whether it is spot, USD an hour."""
        names = facts.of("gcp", "skus")["tpus"]
        for (what, region, spot), hourly in self.units.items():
            if what.startswith("tpu ") and what.removeprefix("tpu ") in names:
                yield names[what.removeprefix("tpu ")], region, spot, hourly

    def _of(self, names: Iterable[str], region: str, spot: bool) -> float | None:
        return next((self.units[name, region, spot] for name in names if (name, region, spot) in self.units), None)


def unit_price(sku: Mapping[str, Any]) -> float | None:
    """USD an hour of one unit of a SKU by its newest prices; None where it is not sold by time, or for nothing."""
    expression = (sku.get("pricingInfo") or [{}])[-1].get("pricingExpression", {})
    paid = [rate["unitPrice"] for rate in expression.get("tieredRates", ()) if _amount(rate["unitPrice"])]
    hours = {"h": 1.0, "GiBy.h": 1.0, "mo": _HOURS_A_MONTH, "GiBy.mo": _HOURS_A_MONTH}.get(
        expression.get("usageUnit", "")
    )
    if hours is None or not paid or paid[0].get("currencyCode", "USD") != "USD":
        return None
    return _amount(paid[0]) / hours


def _amount(price: Mapping[str, Any]) -> float:
    return int(price.get("units") or 0) + int(price.get("nanos") or 0) / 1e9


def _what(description: str, category: Mapping[str, Any]) -> str:
    """What a SKU is of, in small letters; "" where no machine is made of it."""
    group = category.get("resourceGroup", "")
    if group == "LocalSSD":
        return "local ssd"
    if group == "TPU":
        tpu = _TPU.search(description)
        return f"tpu {tpu['generation']}".casefold() if tpu and "pod" not in description.casefold() else ""
    if group == "GPU":
        gpu = _GPU.match(description)
        return f"gpu {gpu['name']}".casefold() if gpu else ""
    part = _PART.match(description)
    if part is None:
        return ""
    family = (
        part["family"].removesuffix(" Instance") if part["family"].startswith("Compute optimized") else part["family"]
    )
    return f"{family} {part['part']}".casefold()


def _family(name: str) -> str | None:
    """How SKUs call the family of a machine type; None where they are not known, or a share of a core is sold."""
    said = facts.of("gcp", "skus")
    if name in said["shared_core"]:
        return None
    found = next((family for prefix, family in said["families"].items() if name.startswith(prefix)), None)
    return None if found is None else str(found).casefold()
