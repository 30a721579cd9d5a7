"""Prices of RunPod: its types of GPUs, which want a key and cost the same in every country."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from skyrig.catalog import prices
from skyrig.catalog.refreshed import Refreshed
from skyrig.clouds import keys, web
from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.pricing import Gathered
from skyrig.errors import SkyrigError

SOURCE = "RunPod GraphQL API"

_API = "https://api.runpod.io/graphql"
_QUERY = """
query GpuTypes {
  gpuTypes {
    id displayName memoryInGb secureCloud communityCloud
    securePrice communityPrice secureSpotPrice communitySpotPrice
  }
}
"""
_TYPE = re.compile(r"(?P<count>\d+)x_(?P<gpu>.+)_(?P<tier>SECURE|COMMUNITY)")

_NAMES = {
    "A100 PCIe": "A100-80GB",
    "H100 SXM": "H100-80GB-HBM3",
    "RTX 6000 Ada": "RTX6000-Ada",
}
"""What the names of types say instead of RunPod's display name."""


def missing() -> str:
    """What is missing for asking RunPod from here; "" where nothing is."""
    return "" if _key() else "no key: set RUNPOD_API_KEY"


def fetch(regions: Sequence[str], today: str) -> Refreshed:
    """Prices of today in `regions`, else in all that the catalog knows."""
    said = web.get("runpod", _API, key=_key(), body={"query": _QUERY})
    if said.get("errors"):
        told = str(said["errors"][0].get("message", "an error without a message"))
        raise (
            NotUsable(f"runpod: {told}", hint="is the key valid?")
            if "auth" in told.lower()
            else SkyrigError(f"runpod: {told}")
        )
    return gathered(said["data"]["gpuTypes"], regions, today).answer()


def gathered(listed: Sequence[Mapping[str, Any]], regions: Sequence[str], today: str) -> Gathered:
    """What a list of GPU types comes to, for the types of pods that the catalog has. Cores and memory of a pod are not
    in the list, and change with the host, so that GPUs which the catalog has no pod of stay out."""
    found = Gathered("runpod", today, SOURCE)
    by_name = {_name(gpu): gpu for gpu in listed}
    for row in prices.rows("runpod"):
        kind = _TYPE.fullmatch(row.instance_type)
        gpu = by_name.get(kind["gpu"]) if kind else None
        if kind is None or gpu is None or (regions and row.region not in regions):
            continue
        tier = kind["tier"].lower()
        for spot, each in ((False, gpu.get(f"{tier}Price")), (True, gpu.get(f"{tier}SpotPrice"))):
            if gpu.get(f"{tier}Cloud") and each:
                found.price(row.region, row.instance_type, int(kind["count"]) * float(each), spot=spot)
    return found


def _name(gpu: Mapping[str, Any]) -> str:
    """A GPU as the names of types call it."""
    shown = str(gpu.get("displayName", ""))
    return _NAMES.get(shown, shown.replace("RTX PRO ", "RTXPRO").replace("RTX ", "RTX").replace(" ", "-"))


def _key() -> str:
    return keys.found("RUNPOD_API_KEY", "~/.runpod/config.toml", "api_key")
