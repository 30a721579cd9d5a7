"""Random preemption as a function of its seed, and what it takes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyrig import local, preempting
from skyrig.local import LocalNode
from skyrig.preempting import Storm, Strike


def node(name: str, *, spot: bool = True, status: str = "UP", leaves_at: float = 0.0, cluster: str = "c") -> LocalNode:
    return LocalNode(name, cluster, 0, 1, 1, status, "", spot, leaves_at)


def strikes(storm: Storm, count: int) -> list[Strike]:
    return list(itertools.islice(storm.strikes(), count))


@given(st.integers(0, 10**9), st.floats(0.1, 1e5))
def test_a_seed_says_all_moments_and_picks(seed: int, every_s: float) -> None:
    found = strikes(Storm(seed, every_s), 50)
    assert found == strikes(Storm(seed, every_s), 50) != strikes(Storm(seed + 1, every_s), 50)
    assert [each.at for each in found] == sorted(each.at for each in found)
    assert all(each.of(names) in names for each in found for names in ([node("a")], [node("a"), node("b")]))


def test_moments_are_exponential_and_picks_even() -> None:
    found = strikes(Storm(7, 60.0), 20_000)
    gaps = sorted(after.at - before.at for before, after in itertools.pairwise(found))
    assert found[-1].at / len(found) == pytest.approx(60, rel=0.03)
    assert gaps[len(gaps) // 2] == pytest.approx(60 * 0.6931, rel=0.05), "the median of that distribution"
    nodes = [node(name) for name in "abcd"]
    counts = [sum(each.of(nodes).name == name for each in found) for name in "abcd"]
    assert min(counts) > 4700


def test_spot_nodes_that_are_up_are_taken() -> None:
    there = [
        node("a"), node("b", spot=False), node("c", status="DOWN"), node("d", leaves_at=9e9), node("e", cluster="x"),
    ]  # fmt: skip
    assert [each.name for each in Storm(1, 1).targets(there)] == ["a", "e"]
    assert [each.name for each in Storm(1, 1, cluster="c").targets(there)] == ["a"]
    assert [each.name for each in Storm(1, 1, any_market=True).targets(there)] == ["a", "b", "e"]


def test_a_storm_takes_what_its_seed_says(monkeypatch: pytest.MonkeyPatch) -> None:
    there, taken, told = [node(name) for name in "abcde"], list[str](), list[str]()

    def take(one: LocalNode, notice_s: int) -> bool:
        assert notice_s == 3
        taken.append(one.name)
        there.remove(one)
        return one.name != "c"

    def nodes() -> Sequence[LocalNode]:
        return list(there)

    monkeypatch.setattr(local, "nodes", nodes)
    monkeypatch.setattr(local, "take", take)
    storm = Storm(11, 0.02, notice_s=3, lasts_s=2.0)
    began = time.monotonic()
    count = preempting.run(storm, told.append)
    assert 1.9 < time.monotonic() - began < 10
    left, expected = list("abcde"), []
    for each in strikes(storm, 5):
        expected.append(left.pop(int(each.pick * len(left))))
    assert taken == expected and count == 4
    assert any("node c/c is gone already" in line for line in told)
    assert told[-1].endswith("no spot node is up: none is preempted")


def test_a_storm_ends_after_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "nodes", lambda: [node("a")])
    monkeypatch.setattr(local, "take", lambda one, notice_s: True)
    assert preempting.run(Storm(1, 0.001, count=3), lambda line: None) == 3
