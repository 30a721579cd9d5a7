"""Prices of Lambda: its list of instance types, which wants a key and is the same for all regions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from skyrig.catalog import facts, prices
from skyrig.catalog.refreshed import Refreshed
from skyrig.clouds import keys, web
from skyrig.clouds.pricing import Gathered, Seen
from skyrig.errors import SkyrigError

SOURCE = "Lambda Cloud API"

_LIST = "https://cloud.lambda.ai/api/v1/instance-types"
_NAME = re.compile(r"gpu_(?P<count>\d+)x_(?P<gpu>[a-z0-9]+)")
_MEMORY = re.compile(r"\((\d+) GB\b")


def missing() -> str:
    """What is missing for asking Lambda from here; "" where nothing is."""
    return "" if _key() else "no key: set LAMBDA_API_KEY"


def fetch(regions: Sequence[str], today: str) -> Refreshed:
    """Prices of today in `regions`, else in those that the catalog knows, and those that have room now."""
    said = web.get("lambda", _LIST, key=_key())
    data = said.get("data")
    if not isinstance(data, dict):
        raise SkyrigError("lambda: the answer has no instance types")
    return gathered(data, regions, today).answer()


def gathered(listed: Mapping[str, Mapping[str, Any]], regions: Sequence[str], today: str) -> Gathered:
    """What a list of instance types comes to. One price holds in all regions; which of them has room changes by the
    minute, so that all that are known are listed."""
    found = Gathered("lambda", today, SOURCE)
    rooms = {place["name"] for each in listed.values() for place in each.get("regions_with_capacity_available", ())}
    places = set(regions) or rooms | {row.region for row in prices.rows("lambda")}
    for each in listed.values():
        kind = each["instance_type"]
        found.describe(described(kind))
        for place in places:
            found.price(place, kind["name"], float(kind["price_cents_per_hour"]) / 100)
    return found


def described(kind: Mapping[str, Any]) -> Seen:
    """A type as Lambda describes it: the GPU is in its name, and its memory in words."""
    specs, name = kind["specs"], _NAME.match(kind["name"])
    memory = _MEMORY.search(kind.get("gpu_description") or kind.get("description", ""))
    size = float(memory[1]) if memory else 0.0
    gpu = name["gpu"].upper() if name else ""
    names = facts.of("lambda", "accelerators")["names"]
    return Seen(
        name=kind["name"],
        cpus=specs["vcpus"],
        memory_gib=specs["memory_gib"],
        accelerator=names.get(f"{gpu} {size:.0f}", gpu),
        accelerator_count=float(specs.get("gpus") or name["count"]) if name else 0,
        accelerator_memory_gib=size if name else 0,
        arch="arm64" if gpu.startswith("GH") else "x86_64",
    )


def _key() -> str:
    return keys.found("LAMBDA_API_KEY", "~/.lambda_cloud/lambda_keys", "api_key")
