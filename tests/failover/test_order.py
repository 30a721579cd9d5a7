"""The order in which places are tried: pure, over offers that are made up."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from skyrig.catalog.instances import InstanceType
from skyrig.catalog.offers import Offer
from skyrig.catalog.refusals import Refusal
from skyrig.cluster.machine import Machine
from skyrig.cluster.shape import Shape
from skyrig.failover import order, place
from skyrig.failover.place import Place
from skyrig.task.resources import Resources

ASKED = (Resources(cpus="2"), Resources(cpus="4"))
ZONES = {f"r{number}": tuple(f"r{number}{letter}" for letter in "abc"[:number]) for number in range(4)}
"""Zones by region: r0 has none with the type."""

offers = st.builds(
    lambda cloud, kind, region, spot, asked: Offer(InstanceType(cloud, kind), region, "", spot, 1.0, ASKED[asked]),
    st.sampled_from(["one", "two"]),
    st.sampled_from(["big", "small"]),
    st.sampled_from(sorted(ZONES)),
    st.booleans(),
    st.integers(0, 1),
)
rankings = st.lists(offers, max_size=12)
refusals = st.builds(
    Refusal,
    st.just("capacity"),
    st.just("Code"),
    st.sampled_from(["zone", "region", "cloud"]),
    st.sampled_from(["type", "market", "all"]),
)


def offer(cloud: str, kind: str, region: str, asked: int = 0, zone: str = "") -> Offer:
    return Offer(InstanceType(cloud, kind), region, zone, False, 1.0, ASKED[asked])


def tried(ranking: list[Offer], said: dict[int, Refusal] | None = None) -> tuple[list[order.Turn], list[Place]]:
    """All turns where the N-th try is refused as `said[N]`, and the regions whose zones were asked for: each right
    before the first turn there."""
    refused: list[tuple[Refusal, Place]] = []
    asked: list[Place] = []
    found: list[order.Turn] = []
    due: list[Place] = []

    def zones(wanted: Place) -> tuple[str, ...]:
        assert not due
        due.append(wanted)
        asked.append(wanted)
        return ZONES[wanted.region]

    def reason(wanted: Place) -> str:
        return next((str(each) for each, at in refused if place.covers(each, at, wanted)), "")

    for turn in order.turns([place.of_offer(each) for each in order.grouped(ranking)], zones, reason):
        if due:
            assert place.whole(turn.place) == due.pop()
        found.append(turn)
        number = sum(not each.passed for each in found) - 1
        if not turn.passed and said and number in said:
            refused.append((said[number], turn.place))
    return found, asked


@given(rankings)
def test_all_zones_of_all_offers_come_once_and_those_of_a_region_together(ranking: list[Offer]) -> None:
    turns, _ = tried(ranking)
    places = [turn.place for turn in turns if not turn.passed]
    assert len(set(places)) == len(places)
    wanted = {place.of_offer(each) for each in ranking}
    assert set(places) == {
        Place(p.cloud, p.region, zone, p.instance_type, p.paid) for p in wanted for zone in ZONES[p.region]
    }
    regions = [key for key, _ in groupby(place.whole(each) for each in places)]
    assert len(set(regions)) == len(regions)


@given(rankings)
def test_the_ranking_is_kept_among_groups_and_in_them(ranking: list[Offer]) -> None:
    found = order.grouped(ranking)
    assert sorted(map(id, found)) == sorted(map(id, ranking))

    def group(each: Offer) -> tuple[int, str, str, bool]:
        return id(each.asked), each.cloud, each.kind.name, each.spot

    assert [key for key, _ in groupby(found, group)] == list(dict.fromkeys(map(group, ranking)))
    for key in map(group, ranking):
        assert [each for each in found if group(each) == key] == [each for each in ranking if group(each) == key]


@given(rankings, st.dictionaries(st.integers(0, 8), refusals))
def test_nothing_is_tried_that_was_refused_and_no_cloud_is_asked_before_its_turn(
    ranking: list[Offer], said: dict[int, Refusal]
) -> None:
    turns, asked = tried(ranking, said)
    refused: list[tuple[Refusal, Place]] = []
    tries = 0
    for turn in turns:
        holds = any(place.covers(each, at, turn.place) for each, at in refused)
        assert bool(turn.passed) == (holds or not ZONES[turn.place.region])
        if not turn.passed:
            if tries in said:
                refused.append((said[tries], turn.place))
            tries += 1
    assert len(set(asked)) == len(asked)


def test_an_ordered_choice_is_not_mixed_up_by_what_its_candidates_have_in_common() -> None:
    ranking = [offer("one", "big", "r1", 0), offer("two", "big", "r1", 0), offer("one", "big", "r2", 1)]
    assert [str(turn.place) for turn in tried(ranking)[0]] == [
        "one/r1a big",
        "two/r1a big",
        "one/r2a big",
        "one/r2b big",
    ]


def test_the_users_own_capacity_comes_first_and_pulls_nothing_else_along() -> None:
    own = offer("one", "big", "r1", zone="r1a")._replace(reservation="cr-1")
    ranking = [own, offer("two", "big", "r1"), offer("one", "big", "r1")]
    assert [str(turn.place) for turn in tried(ranking)[0]] == [
        "one/r1a big reservation/cr-1", "two/r1a big", "one/r1a big",
    ]  # fmt: skip
    turns, _ = tried(ranking, {0: Refusal("capacity", "Code", "zone", "type")})
    assert not [turn for turn in turns if turn.passed]  # that it is used up says nothing of what others pay for


def test_a_zone_that_is_named_is_the_only_one_and_is_not_tried_again_with_its_region() -> None:
    ranking = [offer("one", "big", "r3", zone="r3b"), offer("one", "big", "r3")]
    turns, asked = tried(ranking)
    assert [turn.place.zone for turn in turns] == ["r3b", "r3a", "r3c"]
    assert [each.region for each in asked] == ["r3"]


def test_a_quota_of_a_region_passes_over_its_other_zones_and_not_the_next_region() -> None:
    ranking = [offer("one", "big", "r3"), offer("one", "big", "r2")]
    turns, _ = tried(ranking, {0: Refusal("quota", "Code", "region", "market")})
    assert [turn.place.zone for turn in turns if not turn.passed] == ["r3a", "r2a", "r2b"]
    assert [turn.passed for turn in turns if turn.passed] == ["no quota (Code)"] * 2


def test_a_region_that_is_to_be_avoided_comes_last_and_nothing_else_changes() -> None:
    shapes = [
        Shape(cloud="one", machine=Machine(region=region, instance_type=kind))
        for kind in ("big", "small")
        for region in ("r1", "r2", "r1")
    ]
    found = [(each.machine.region, each.machine.instance_type) for each in order.region_last(shapes, "r1")]
    assert found == [("r2", "big"), ("r2", "small"), *[("r1", "big")] * 2, *[("r1", "small")] * 2]
    assert order.region_last(shapes, "") == shapes
