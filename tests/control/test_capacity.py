"""What is to be done about a service's nodes: pure values."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from skyrig.cluster import grouping
from skyrig.cluster import shape as shapes
from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.cluster.shape import Shape, WantedNode
from skyrig.control.look import SHUT_S, Look, marks
from skyrig.control.services.capacity import NOTHING, Act, decide
from skyrig.control.ward import Ward, Wish
from skyrig.serve.state import ServiceStatus, Snapshot, Wanted

WARD = Ward("m", "m", version=3, applied=3, data={"head": "i0"})


def told(ward: Ward, seen: Look) -> Ward:
    """The ward when its head was told of the nodes that there are."""
    return evolve(ward, data={**ward.data, "told": marks(seen.cluster)}) if seen.cluster is not None else ward


def cluster(*ids: str) -> ClusterDescription:
    """A cluster with these nodes; a node's machine is called by its number."""
    nodes = tuple(
        Node(each, rank, "127.0.0.1", 22, "127.0.0.1", "u", "key", f"i{each[1:]}") for rank, each in enumerate(ids)
    )
    return ClusterDescription("m", "local", nodes, SshAccess(""), "")


def look(*ids: str, **more: object) -> Look:
    """A cluster with these nodes, all up."""
    return evolve(Look(cluster(*ids), ids, "up", dict.fromkeys(ids, "up")), **more)


def said(**wanted: object) -> Snapshot:
    """What the steward says of what it wants."""
    return Snapshot("m", ServiceStatus.READY, wanted=Wanted(**wanted))  # type: ignore[arg-type]


GOOD = said(nodes=2)


@pytest.mark.parametrize(
    ("ward", "seen", "snapshot", "away", "act"),
    [
        (WARD, look("n0", "n1"), GOOD, 0, Act.NOTHING),
        (evolve(WARD, wish=Wish.GONE), look("n0"), GOOD, 0, Act.END),
        (evolve(WARD, wish=Wish.GONE), Look(), None, 0, Act.END),
        (evolve(WARD, version=4), look("n0", "n1"), GOOD, 0, Act.DEPLOY),
        (evolve(WARD, applied=0), Look(), None, 0, Act.DEPLOY),
        (WARD, Look(), None, 0, Act.DEPLOY),
        (WARD, look("n0", "n1", powers={"n0": "gone", "n1": "up"}), None, 0, Act.DEPLOY),
        (evolve(WARD, data={"head": "older"}), look("n0", "n1"), GOOD, 0, Act.DEPLOY),
        (WARD, look("n0", "n1"), None, 1, Act.NOTHING),
        (WARD, look("n0", "n1"), None, SHUT_S + 1, Act.REPAIR),
        (WARD, look("n0", "n1"), said(nothing=True), 0, Act.RETIRE),
        (evolve(WARD, failed=3), look("n0", "n1"), said(nothing=True), 0, Act.RETIRE),
        (evolve(WARD, failed=3), Look(power="down"), None, 0, Act.NOTHING),
        (evolve(WARD, failed=3, alone=False), look("n0"), None, 0, Act.NOTHING),
        (evolve(WARD, failed=3, version=4), Look(power="down"), None, 0, Act.DEPLOY),
        # what somebody stopped, or what ended itself, stays so
        (WARD, Look(power="down"), None, 900, Act.NOTHING),
        (WARD, look("n0", power="stopped", powers={"n0": "stopped"}), None, 900, Act.NOTHING),
        (WARD, look("n0", powers={"n0": "stopped"}), None, 900, Act.NOTHING),
        (WARD, look("n0", powers={"n0": "ended"}, left="idle for 10 minutes"), None, 900, Act.NOTHING),
        (WARD, Look(left="its time to live was over"), None, 900, Act.NOTHING),
        (evolve(WARD, version=4), Look(power="down"), None, 900, Act.DEPLOY),
    ],
)
def test_what_is_done(ward: Ward, seen: Look, snapshot: Snapshot | None, away: float, act: Act) -> None:
    assert decide(told(ward, seen), seen, snapshot, away).act is act


def test_a_steward_that_knows_nothing_is_told_again() -> None:
    assert decide(WARD, look("n0", "n1"), None, 0, bare=True).act is Act.DEPLOY
    assert decide(WARD, look("n0", "n1"), evolve(GOOD, forgot=True), 0).act is Act.DEPLOY


def test_a_head_is_told_of_nodes_that_somebody_else_changed() -> None:
    assert decide(told(WARD, look("n0")), look("n0", "n1"), GOOD, 0).act is Act.TELL


def test_nodes_grow_by_number_and_go_by_name() -> None:
    three = look("n0", "n1", "n2")
    assert decide(told(WARD, three), three, said(nodes=5), 0).nodes == 5
    assert decide(told(WARD, three), three, said(nodes=2, going=("n1",)), 0).going == ("n1",)
    assert decide(told(WARD, three), three, said(nodes=1, going=("n1", "n2")), 0).going == ("n2", "n1")
    assert decide(told(WARD, three), three, said(nodes=1), 0) == NOTHING, "nobody said which"
    assert decide(told(WARD, three), three, said(nodes=3, going=("n2",)), 0) == NOTHING, "it is wanted again"
    assert decide(told(WARD, three), three, said(nodes=2, going=("n0", "n1", "n2"), lost=("n1",)), 0).going == ("n1",)


def test_lost_nodes_are_looked_after_and_in_the_end_replaced() -> None:
    seen, lost = look("n0", "n1", "n2"), said(nodes=3, lost=("n1",))
    assert decide(told(WARD, seen), seen, lost, 0).anew == ()
    assert decide(told(WARD, seen), seen, lost, 0, repairs=2).anew == ("n1",)
    gone = evolve(seen, powers={"n0": "up", "n1": "gone", "n2": "up"})
    assert decide(told(WARD, gone), gone, lost, 0, repairs=2).anew == (), "it is made anew as it is"
    assert decide(told(WARD, gone), gone, said(nodes=3), 0).act is Act.REPAIR, "its steward has not seen it yet"
    assert decide(told(WARD, seen), seen, said(nodes=2, lost=("n1",), going=("n1",)), 0).act is Act.NODES


IDS = st.lists(st.integers(1, 9), unique=True, max_size=6).map(lambda ks: ("n0", *(f"n{k}" for k in sorted(ks))))
SOME = st.lists(st.integers(0, 9).map(lambda k: f"n{k}"), unique=True).map(tuple)


@given(ids=IDS, count=st.integers(0, 9), going=SOME, lost=SOME, repairs=st.integers(0, 3))
def test_whatever_is_wanted_the_head_stays_and_nothing_goes_that_was_not_named(
    ids: tuple[str, ...], count: int, going: tuple[str, ...], lost: tuple[str, ...], repairs: int
) -> None:
    """And what is done brings it nearer, so that it comes to rest."""
    for _ in range(12):
        wanted = said(nodes=count, going=tuple(set(going) & set(ids)), lost=tuple(set(lost) & set(ids)))
        action = decide(told(WARD, look(*ids)), look(*ids), wanted, 0, repairs)
        if action.act is Act.NOTHING:
            break
        assert ids[0] not in (*action.going, *action.anew)
        assert set(action.going) <= set(going)
        if action.act is Act.REPAIR:
            lost = ()
            continue
        shape = grouping.without(Shape(nodes=tuple(map(WantedNode, ids))), action.going)
        after = tuple(node.id for node in shapes.resized(shape, action.nodes).nodes)
        assert len(after) == action.nodes >= min(len(ids), max(1, count))
        assert set(ids) - set(after) == set(action.going)
        ids = after
    else:
        raise AssertionError("it does not come to rest")
