"""Results of benches and of soak tests as files that can be compared: `bench/results/NAME.json`.

A result says what was measured or shown (`outcome`), at which size (`counts`), from which `seed` it can be had again,
and on which machine and day.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
"""Where results lie, one file a name; a later run of the same name replaces it."""


def write(
    name: str,
    outcome: Mapping[str, Any],
    *,
    counts: Mapping[str, float] | None = None,
    seed: int | None = None,
    folder: Path = RESULTS,
) -> Path:
    """Write a result to `folder`/`name`.json, whole or not at all; its path.

    `outcome` is plain JSON data, each key with its unit where it has one ("median_s", "sent_bytes"); `counts` are the
    sizes of the run ("nodes": 8). ValueError if the name could leave the folder.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"result name {name!r}: letters, digits, dots and dashes are wanted")
    found = {
        "name": name,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "seed": seed,
        "counts": dict(counts or {}),
        "outcome": dict(outcome),
    }
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{name}.{os.getpid()}"
    fresh.write_text(json.dumps(found, indent=2) + "\n")
    return fresh.replace(folder / f"{name}.json")


def machine() -> dict[str, Any]:
    """What the figures depend on: cores, memory in GiB, system and Python version. No name of the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
