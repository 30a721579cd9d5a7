"""From a load to a number of replicas."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyrig.serve.spec import Scaling
from skyrig.serve.steward.memory import Scale
from skyrig.serve.steward.scaling import MARGIN, need, scaled

SCALING = Scaling(1, 5, target_qps=10.0, upscale_delay_s=30.0, downscale_delay_s=60.0)


def numbers(loads: list[float | None], scaling: Scaling = SCALING, begin: int = 1) -> list[int]:
    """The number of replicas after each second of a load."""
    scale, found = Scale(begin), []
    for second, load in enumerate(loads):
        scale = scaled(scale, scaling, load, 1000.0 + second)
        found.append(scale.number)
    return found


def changes(found: list[int]) -> int:
    """How often the number changed."""
    return sum(a != b for a, b in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("qps", "busy", "scaling", "wanted"),
    [
        (25.0, 0.0, SCALING, 2.5),
        (25.0, 12.0, Scaling(1, 5, target_qps=10.0, target_in_flight=4.0), 3.0),
        (0.0, 0.0, Scaling(0, 5, target_in_flight=4.0), 0.0),
        (25.0, 12.0, Scaling(1, 5), None),
        (25.0, 12.0, Scaling(2, 2, target_qps=1.0), None),
    ],
)
def test_the_load_in_replicas(qps: float, busy: float, scaling: Scaling, wanted: float | None) -> None:
    assert need(qps, busy, scaling) == wanted


def test_a_change_waits_for_its_delay_without_a_break() -> None:
    assert numbers([2.5] * 30)[-1] == 1
    assert numbers([2.5] * 31)[-1] == 3
    assert numbers([2.5] * 29 + [0.5] + [2.5] * 29)[-1] == 1
    assert numbers([0.5] * 60, begin=3)[-1] == 3
    assert numbers([0.5] * 61, begin=3)[-1] == 1


def test_it_stays_within_its_bounds() -> None:
    assert numbers([50.0] * 100)[-1] == 5
    assert numbers([0.0] * 100, begin=4)[-1] == 1
    assert numbers([None], begin=9) == [5]


def test_a_load_that_is_not_known_changes_nothing() -> None:
    assert numbers([2.5] * 20 + [None] * 5 + [2.5] * 6)[-1] == 3
    assert numbers([None] * 100, begin=2)[-1] == 2


def test_from_nothing_the_first_request_counts() -> None:
    scaling = Scaling(0, 3, target_qps=10.0, upscale_delay_s=300.0, downscale_delay_s=5.0)
    assert numbers([0.001], scaling, begin=0) == [1]
    assert numbers([0.0] * 10, scaling, begin=1)[-1] == 0


@settings(max_examples=30)
@given(st.integers(0, 6), st.integers(0, 5), st.lists(st.floats(-0.9, 0.0), min_size=200, max_size=200))
def test_at_the_threshold_it_changes_once_at_most(load: int, begin: int, tremble: list[float]) -> None:
    """A load of exactly so many replicas, seen as a little less at times, as a window's edges make it."""
    quick = Scaling(0, 6, target_qps=10.0, upscale_delay_s=3.0, downscale_delay_s=3.0)
    margin = load - load / (1 + MARGIN)
    found = numbers([load + part * margin for part in tremble], quick, begin)
    assert changes(found) <= 1


@given(st.floats(0, 8), st.integers(1, 5))
def test_a_steady_load_gets_what_it_wants(load: float, begin: int) -> None:
    found = numbers([load] * 200, begin=begin)
    assert changes(found) <= 1
    enough = min(max(math.ceil(load - 1e-9), 1), 5)
    assert enough <= found[-1] <= max(enough, min(begin, math.ceil(load * (1 + MARGIN))), 1)
