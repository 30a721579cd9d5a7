"""The types that Fluidstack has for a project, which its API tells and no table does. What they cost is agreed on by
contract and told nowhere: they have no price here, and come after all that has one."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from skyrig.catalog import facts, prices, refreshed
from skyrig.catalog.refreshed import Refreshed
from skyrig.clouds.fluidstack import api
from skyrig.errors import SkyrigError

CLOUD = "fluidstack"

FRESH_S = 3600.0
"""How long what was told holds, in seconds."""

_SOURCE = "Fluidstack Atlas API"
_AMOUNT = re.compile(r"([0-9.]+)\s*(Gi|GB|Ti|TB|Mi|MB)?B?", re.IGNORECASE)
_GIB = {"": 1.0, "gi": 1.0, "gb": 1e9 / 2**30, "ti": 1024.0, "tb": 1e12 / 2**30, "mi": 1 / 1024, "mb": 1e6 / 2**30}


def look() -> bool:
    """Ask for the types where what is known of them is old; whether there are others now."""
    file = refreshed.folder() / f"{CLOUD}.types.json"
    if not api.key() or not os.environ.get(api.PROJECT) or _is_fresh(file):
        return False
    try:
        found = dict(_types(api.connect()))
        is_new = any(refreshed.told(CLOUD).get(name) != said for name, said in found.items())
        if is_new:
            rows = refreshed.rows(CLOUD) or tuple(prices.rows(CLOUD))
            refreshed.write(CLOUD, Refreshed(rows, found, {}, _SOURCE), date.today().isoformat())
        file.write_text(json.dumps(sorted(found)), encoding="utf-8")
    except (SkyrigError, OSError):  # `check` tells of it; nothing more is offered then
        return False
    return is_new


def _is_fresh(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime < FRESH_S
    except OSError:
        return False


def _types(project: api.FluidstackProject) -> Iterator[tuple[str, dict[str, Any]]]:
    for region in project.regions():
        for name, said in project.kinds(region).items():
            yield name, described(said)


def described(said: Mapping[str, Any]) -> dict[str, Any]:
    """A type as the catalog has it."""
    model, count = str(said.get("gpu_model") or ""), int(said.get("gpu_count") or 0)
    return {
        "accelerator": accelerator(model) if count else "",
        "accelerator_count": count if model else 0,
        "cpus": float(said["cpu"]),
        "memory_gib": _gib(str(said["memory"])),
        "fabric": "none",
        "source": _SOURCE,
    }


def accelerator(model: str) -> str:
    """SkyPilot's name of a GPU that is called GH100_H100_SXM5_80GB; the model itself where none is known."""
    names = facts.of(CLOUD, "gpus")["names"]
    return str(next((name for pattern, name in names.items() if re.search(pattern, model, re.IGNORECASE)), model))


def _gib(text: str) -> float:
    match = _AMOUNT.match(text.strip())
    return round(float(match[1]) * _GIB[(match[2] or "").lower()], 3) if match else 0.0
