"""How long the choice between all offers takes, in the shipped price table and in one of 100,000 rows, and how long its
modules take to import.

SkyPilot is not run: its figures are of the machine and the table of tests/catalog/cases, where they were recorded.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from bench.figures import Figures
from skyrig.catalog import optimizer, prices, table
from skyrig.catalog.market import Market
from skyrig.catalog.prices import Price
from skyrig.task.resources import Choice, of_plain

REQUESTS: Sequence[Mapping[str, Any]] = (
    {"accelerators": "H100:8"},
    {"accelerators": "L4"},
    {"accelerators": "A100-80GB:8", "use_spot": True},
    {"accelerators": {"L4": 1, "A10G": 1, "L40S": 1, "T4": 1}},
    {"accelerators": ["H200:8", "H100:8", "A100-80GB:8"]},
    {"accelerators": "80GB+:8"},
    {"accelerators": "H100:8", "infra": "aws/us-east-1"},
    {"accelerators": {"H100": 8, "A100": 8}, "any_of": [{"infra": "gcp"}, {"infra": "azure"}, {"use_spot": True}]},
    {"instance_type": "p5.48xlarge"},
    {"cpus": "4+", "memory": "32+"},
    {"cpus": "4+", "use_spot": True},
    {},
)
"""What is asked for: one round each."""

ROWS = 100_000
SHOWN = 4
"""Offers that `plan` shows."""

SKYPILOT_MS = (
    "SkyPilot 0.14.1 takes 65 ms (median; p90 155 ms) for the cases of tests/catalog/cases, warm; not run here"
)

_IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def measure(rounds: int) -> list[Figures]:
    """The choices, each the median of so many after one that is not counted, and the imports."""
    return [_choices(rounds), _imports(rounds)]


def large(rows: int = ROWS, seed: int = 8) -> table.Table:
    """A table of so many rows: the shipped one over and over, with other regions, types and prices."""
    dice = random.Random(seed)
    shipped = [row for cloud in prices.shipped().clouds for row in prices.rows(cloud)]

    def of(number: int) -> Price:
        row, turn = shipped[number % len(shipped)], number // len(shipped)
        more = 1 + dice.random()
        return row._replace(
            region=row.region if row.region == prices.ANYWHERE or not turn else f"{row.region}-{turn}",
            instance_type=f"{row.instance_type}.v{turn % 8}" if turn % 8 else row.instance_type,
            on_demand=None if row.on_demand is None else row.on_demand * more,
            spot=None if row.spot is None else row.spot * more,
        )

    return table.of_rows(of(number) for number in range(rows))


def _choices(rounds: int) -> Figures:
    shipped, many = (Market(there, dict.fromkeys(there.clouds, "")) for there in (prices.shipped(), large()))
    contestants: dict[str, Callable[[Choice], object]] = {
        f"the shipped table, the best {SHOWN}": lambda choice: optimizer.rank(choice, 1, shipped).offers[:SHOWN],
        "the shipped table, all, with every reason": lambda choice: _all(choice, shipped),
        f"{ROWS:,} rows, the best {SHOWN}": lambda choice: optimizer.rank(choice, 1, many).offers[:SHOWN],
    }
    found = Figures("the choice between all offers", next(iter(contestants)))
    for request in REQUESTS:
        choice = of_plain(request, "a request")[0]
        for name, choose in contestants.items():
            choose(choice)
            found.add(name, median(_seconds(choose, choice) for _ in range(rounds)))
    for name, taken in found.seconds.items():
        ninety = quantiles(taken, n=10)[-1]
        found.notes.append(f"{name}: median {median(taken) * 1000:.2f} ms, p90 {ninety * 1000:.2f} ms")
    found.notes.append(SKYPILOT_MS)
    return found


def _all(choice: Choice, market: Market) -> object:
    ranking = optimizer.rank(choice, 1, market)
    return len(ranking.offers), ranking.rejected


def _seconds(choose: Callable[[Choice], object], choice: Choice) -> float:
    began = perf_counter()
    choose(choice)
    return perf_counter() - began


def _imports(rounds: int) -> Figures:
    found = Figures("the import of all that a choice needs", "what it needs of the standard library")
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    modules = {
        "what it needs of the standard library": "typing, json, pathlib, functools, heapq",
        "the catalog": "skyrig.catalog.optimizer, skyrig.catalog.market",
        "attrs, which it does without": "attrs",
    }
    for number in range(rounds + 1):
        for name, module in modules.items():
            command = [sys.executable, "-c", _IMPORT.format(module)]
            said = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
            if number:  # the first one writes the bytecode
                found.add(name, float(said.stdout))
    return found
