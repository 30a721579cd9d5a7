"""How quick the choice is. Limits are several times what it takes on two slow cores; bench/optimizer.py has figures."""

from __future__ import annotations

import os
import subprocess
import sys
from time import perf_counter

import pytest

from skyrig.catalog import optimizer, prices
from skyrig.catalog.market import Market
from skyrig.task.resources import of_plain

_IMPORT = """
import sys, time
began = time.perf_counter()
import skyrig.catalog.market, skyrig.catalog.optimizer
print(time.perf_counter() - began, sorted({"attrs", "csv", "hashlib", "inspect", "sqlite3", "yaml"} & set(sys.modules)))
"""


@pytest.mark.parametrize("accelerators", ["H100:8", "80GB+", {"L4": 1, "T4": 1, "A10G": 1}, None])
def test_a_choice_in_the_whole_catalog_takes_under_10_ms(accelerators: object) -> None:
    market = Market(prices.shipped(), dict.fromkeys(prices.shipped().clouds, ""))
    choice = of_plain({"accelerators": accelerators} if accelerators else {}, "test")[0]
    taken = []
    for _ in range(10):
        began = perf_counter()
        ranking = optimizer.rank(choice, 1, market)
        assert ranking.offers[:4]
        taken.append(perf_counter() - began)
    assert min(taken) < 0.010


def test_the_import_of_a_choice_is_light() -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    said = [
        subprocess.run([sys.executable, "-c", _IMPORT], env=env, capture_output=True, text=True, check=True).stdout
        for _ in range(5)
    ]
    assert {line.partition(" ")[2].strip() for line in said} == {"[]"}
    assert min(float(line.split()[0]) for line in said) < 0.090
