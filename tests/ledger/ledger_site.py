"""Stacks with a history: that of a real life of a cluster on Google Cloud (an echo in the cloud's place), recorded in
history/, with its moments moved to where a test wants them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RECORDED = sorted(Path(__file__).with_name("history").glob("*.history.json"))
"""Up, up again (nothing to do), started again, stopped, destroyed."""

UP, AGAIN, STARTED, STOPPED, DESTROYED = range(5)


class Site:
    """A SKYRIG_HOME with a file backend."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def deploy(self, stack: str, runs: Sequence[tuple[int, float, float]], nodes: int = 0, **changed: Any) -> None:
        """Give a stack the recorded runs (number, began, ended). `changed` are fields of all records, `nodes` how many
        nodes a run left in its snapshot and in the stack's state."""
        folder = self.home / "state" / ".pulumi" / "history" / "skyrig" / stack
        folder.mkdir(parents=True, exist_ok=True)
        for number, began, ended in runs:
            document = {**json.loads(RECORDED[number].read_text()), "startTime": int(began), "endTime": int(ended)}
            config = {**document["config"], **changed.get("config", {})}
            file = folder / f"{stack}-{int(ended * 10**9)}.history.json"
            file.write_text(json.dumps({**document, **changed, "config": config}))
            resources = [{"type": "gcp:compute/instance:Instance"}] * nodes
            snapshot = {"version": 3, "checkpoint": {"latest": {"resources": resources}}}
            file.with_name(file.name.replace(".history.", ".checkpoint.")).write_text(json.dumps(snapshot))
        state = self.home / "state" / ".pulumi" / "stacks" / "skyrig" / f"{stack}.json"
        state.parent.mkdir(parents=True, exist_ok=True)
        latest = {"resources": [{"type": "gcp:compute/instance:Instance"}] * nodes}
        state.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))

    def remove(self, stack: str) -> None:
        """What `pulumi stack rm` leaves: nothing."""
        base = self.home / "state" / ".pulumi"
        (base / "stacks" / "skyrig" / f"{stack}.json").unlink()
        for file in (base / "history" / "skyrig" / stack).iterdir():
            file.unlink()
