"""Seconds of several contestants, taken in the same rounds, as a table and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import monotonic
from typing import Any, TextIO


class Figures:
    """Seconds by contestant. `against` names the one that the others are divided by, round for round: what slows the
    machine down for a moment slows both."""

    def __init__(self, title: str, against: str) -> None:
        self.title = title
        self.against = against
        self.seconds: dict[str, list[float]] = {}
        self.notes: list[str] = []

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Take the time of one round of `name`."""
        started = monotonic()
        yield
        self.add(name, monotonic() - started)

    def add(self, name: str, seconds: float) -> None:
        """One round of `name`."""
        self.seconds.setdefault(name, []).append(seconds)

    def ratios(self, name: str) -> list[float]:
        """Rounds of `name` over those of the reference."""
        return [own / other for own, other in zip(self.seconds[name], self.seconds[self.against], strict=True)]

    def outcome(self) -> dict[str, Any]:
        """All of it as JSON data."""
        rows = {
            name: _spread(taken, "_s") | _spread(self.ratios(name), "_ratio") for name, taken in self.seconds.items()
        }
        return {"against": self.against, "rounds": len(self.seconds[self.against]), "of": rows, "notes": self.notes}

    def show(self, out: TextIO = sys.stdout) -> None:
        """The table: seconds, and how often the reference's time that is."""
        count = len(self.seconds[self.against])
        print(f"\n{self.title} ({count} rounds; min / median / max)", file=out)
        width = max(len(name) for name in self.seconds)
        for name, taken in self.seconds.items():
            times = " / ".join(f"{value:7.3f}" for value in _three(taken))
            ratios = " / ".join(f"{value:5.2f}" for value in _three(self.ratios(name)))
            print(f"  {name:{width}}  {times} s   {ratios} x", file=out)
        for note in self.notes:
            print(f"  {note}", file=out)
        out.flush()


Say = Callable[[str], None]
"""Takes one line on how a bench gets on."""


def _three(values: list[float]) -> tuple[float, float, float]:
    return min(values), median(values), max(values)


def _spread(values: list[float], unit: str) -> dict[str, float]:
    return {
        f"{kind}{unit}": round(value, 4) for kind, value in zip(("min", "median", "max"), _three(values), strict=True)
    }
