"""Which life of a run may publish: each takes a higher number than all that it finds, and leaves a claim in the store.

No store is asked for locks or atomic writes. Two that claim at once may get the same number; then their tokens decide,
and everyone who looks sees the same order. What is published carries number and token in its name, so nothing is ever
written over another life's checkpoint, and readers take the newest life's first, whoever wrote last.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from skyrig.checkpoint.store import Store

CLAIMS = "claims/"
_NAMED = re.compile(r"(\d{6,})-([0-9a-f]{8})")
_OF_THE_RUN = {
    "task": ("SKYRIG_TASK_ID", "SKYPILOT_TASK_ID"),
    "job": ("SKYRIG_INTERNAL_JOB_ID", "SKYPILOT_INTERNAL_JOB_ID", "SLURM_JOB_ID"),
    "restart": ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"),
}
"""What launchers tell a run about itself."""


@dataclass(frozen=True, order=True)
class Incarnation:
    """One life of a run. The order is the one in which they may publish."""

    number: int
    token: str

    def __str__(self) -> str:
        return f"{self.number:06d}-{self.token}"

    @staticmethod
    def parse(text: str) -> Incarnation | None:
        """The one that is written so; None if none is."""
        found = _NAMED.fullmatch(text)
        return Incarnation(int(found[1]), found[2]) if found else None


def claim(store: Store, seen: Iterable[Incarnation]) -> Incarnation:
    """A new incarnation that is newer than all in the store and all of `seen`; from now on those cannot publish."""
    claimed = claims(store)
    newest = max((each.number for each in (*claimed, *seen)), default=0)
    mine = Incarnation(newest + 1, secrets.token_hex(4))
    about = {**of_the_run(os.environ), "host": socket.gethostname(), "pid": os.getpid(), "at": time.time()}
    store.put(f"{CLAIMS}{mine}", [json.dumps(about).encode()])
    store.delete(f"{CLAIMS}{each}" for each in claimed)
    return mine


def claims(store: Store) -> list[Incarnation]:
    """All claims in the store, oldest first."""
    found = (Incarnation.parse(name[len(CLAIMS) :]) for name in store.sizes(CLAIMS))
    return sorted(each for each in found if each)


def of_the_run(env: Mapping[str, str]) -> dict[str, str]:
    """What the launcher says of this life: task, job and restart, as far as it says anything."""
    said = {}
    for key, names in _OF_THE_RUN.items():
        value = next((env[name] for name in names if env.get(name)), "")
        if value:
            said[key] = value
    return said
