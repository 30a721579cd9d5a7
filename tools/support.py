"""Writes docs/support.md out of docs/support/CLOUD.json: which feature works on which cloud, and how that was proven.

    python tools/support.py          write it
    python tools/support.py --check  exit code 1 where it is not what would be written

A cloud's file has `title`; `features`, by the names of FEATURES either {"by": one of PROOFS, "in": [test files]} or
{"not": why it cannot be had there}; a further "note" is shown beside either.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from skyrig.cluster.clouds import CLOUDS  # noqa: E402 - beside this file, also where nothing is installed

FOLDER = ROOT / "docs" / "support"
PAGE = ROOT / "docs" / "support.md"

PROOFS = {
    "parts": "the code for it alone, against answers as the cloud's API gives them",
    "registrations": "what the engine is told to make, compared with golden files",
    "echo": "the real engine; an echo in the provider's place, and an API on loopback that agrees with it",
    "provider": "the real engine and the real provider against a mock of the cloud",
    "api": "the real engine and our own resources against a mock of the cloud's API",
    "machines": "real machines here: SSH servers in namespaces, pods of a real API server, a real Slurm",
    "live": "the cloud itself",
}
"""How a cell was proven, from the least to the most."""

FEATURES = {
    "up and down": "a cluster is made, described, and taken away with nothing left",
    "several nodes": "a head and workers that reach each other",
    "scale": "from 2 to 3 and to 1 nodes, and who stays is the same",
    "repair": "a machine that is gone is made anew under its node's id",
    "stop and start": "nodes are switched off, and on again as themselves",
    "autostop": "an idle cluster stops itself",
    "autodown from inside": "an idle cluster ends itself, with no client alive",
    "spot": "nodes that the cloud may take back",
    "fabric": "`network_tier: best`: the fast network between nodes",
    "buckets made": "buckets of a stack's own",
    "buckets mounted": "MOUNT and MOUNT_CACHED on its nodes",
    "balancer": "the cloud's own balancer before a service's port",
    "adopt": "a stack whose state is lost is made anew around what is there",
    "prices": "`catalog.refresh`, or stock that is looked at",
    "check": "`check` with rights, quotas or what stands in for these",
    "failover": "what it refuses is told apart, and the next place is tried",
    "down --by-tag": "what is there without a stack is found and removed",
}
"""Rows of the table, with what they mean."""


def said() -> dict[str, dict[str, Any]]:
    """What each cloud that has a file says, in the order of their registration."""
    return {name: json.loads(file.read_text()) for name in CLOUDS if (file := FOLDER / f"{name}.json").exists()}


def page(clouds: Mapping[str, Mapping[str, Any]]) -> str:
    """The page."""
    lines = [
        "# What works where, and how that was proven",
        "",
        "Written by `python tools/support.py` out of `docs/support/`, one file a cloud; a test compares.",
        f"{_nobody(clouds)}A cell names the most that was done:",
        "",
        *(f"- `{proof}`: {means}" for proof, means in PROOFS.items()),
        "- `no`: cannot be had there, for the reason below; refused before anything is made where it is asked for",
        "- `-`: nobody has proven it",
        "",
        "|  | " + " | ".join(str(each["title"]) for each in clouds.values()) + " |",
        "|---" * (len(clouds) + 1) + "|",
        *(f"| {row} | " + " | ".join(_cell(each, row) for each in clouds.values()) + " |" for row in FEATURES),
        "",
        "## The rows",
        "",
        *(f"- **{row}**: {means}" for row, means in FEATURES.items()),
    ]
    for name, each in clouds.items():
        lines += ["", f"## {each['title']}", "", *_details(name, each)]
    return "\n".join(lines) + "\n"


def _nobody(clouds: Mapping[str, Mapping[str, Any]]) -> str:
    """What is to be said first where no cell is about the cloud itself."""
    cells = [cell for each in clouds.values() for cell in each["features"].values()]
    live = any(cell.get("by") == "live" for cell in cells)
    return "" if live else "Nobody has run Skyrig on a real account yet: no cell says `live`. "


def _cell(cloud: Mapping[str, Any], row: str) -> str:
    cell = cloud["features"].get(row, {})
    return "no" if "not" in cell else str(cell.get("by", "-"))


def _details(name: str, cloud: Mapping[str, Any]) -> list[str]:
    """What is not there and why, and where the rest is proven."""
    found = []
    for row in FEATURES:
        cell = cloud["features"].get(row, {})
        where = ", ".join(f"`{test}`" for test in cell.get("in", ()))
        told = f"no: {cell['not']}" if "not" in cell else where
        note = f" ({cell['note']})" if "note" in cell else ""
        if told:
            found.append(f"- {row}: {told}{note}")
    return found


def main(words: list[str]) -> int:
    """Write the page, or look whether it is what it should be."""
    wanted = page(said())
    if words == ["--check"]:
        return int(not PAGE.exists() or PAGE.read_text() != wanted)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
