"""Engine runs that are killed at any moment: the next `invoke up` makes it right."""

from __future__ import annotations

import os
import random
import time

import pytest
from cloned import Site
from cutting import STACK, Cut, Cutter, cuts

from bench import record

pytestmark = pytest.mark.e2e


def replay(site: Site, made: list[Cut], every_preview: bool) -> None:
    """Cut, bring up again and check, one after the other; at the end `down` leaves nothing."""
    cutter = Cutter(site, site.clone())
    nodes = 0
    for number, cut in enumerate(made):
        nodes = {"first": 2, "grow": 4, "shrink": 2, "down": nodes}[cut.action]
        told = f"cut {number} {cut}: {cutter.cut(cut)}"
        if cut.action in ("first", "grow", "shrink") and not cutter.clone.config(STACK).exists():
            told += cutter.clone.up(STACK, nodes)  # killed before it had written down what it wanted
        try:
            if _wanted(cutter) != nodes:
                told += cutter.clone.up(STACK, nodes)
            else:
                told += cutter.recover()
            cutter.check(nodes)
            if every_preview or number == len(made) - 1:
                cutter.clone.pulumi("preview", STACK, "--expect-no-changes")
        except AssertionError as error:
            raise AssertionError(f"{told}\n{error}") from error
    cutter.clone.down(STACK)
    assert site.nodes(STACK) == {} and site.servers(STACK) == 0
    assert not (site.home / "local" / STACK).exists()


def _wanted(cutter: Cutter) -> int:
    return sum(line.strip().startswith("- n") for line in cutter.clone.config(STACK).read_text().splitlines())


def test_a_killed_run_is_made_right_by_the_next(site: Site) -> None:
    seed = int(os.environ.get("CUT_SEED", time.time_ns() % 10**6))
    print(f"CUT_SEED={seed}")
    rng = random.Random(seed)
    replay(
        site,
        [
            Cut("engine", "first", -1.0),
            Cut("group", "grow", rng.uniform(0.3, 0.95)),
            Cut("client", "shrink", rng.uniform(0.1, 0.9)),
        ],
        every_preview=False,
    )


@pytest.mark.soak
def test_twenty_killed_runs_are_made_right(site: Site) -> None:
    seed = int(os.environ.get("CUT_SEED", time.time_ns() % 10**6))
    print(f"CUT_SEED={seed}")
    started = time.monotonic()
    made = cuts(seed, 20)
    replay(site, made, every_preview=True)
    record.write(
        "killed-runs",
        {
            "what": "kill -9 of an engine run at random moments, then `invoke up`: exactly the wanted nodes",
            "cuts": [[cut.variant, cut.action, round(cut.at, 3)] for cut in made],
            "seconds": round(time.monotonic() - started, 1),
        },
        counts={"kills": len(made)},
        seed=seed,
    )
