"""What a steward decides, with no machine: replicas, updates, scaling, nodes."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from rehearsal import Rehearsal, spec

from skyrig.serve.spec import Scaling, Update
from skyrig.serve.state import ReplicaStatus, UpdateState
from skyrig.serve.steward.decide import step


def up(replicas: int, nodes: int = 1, *, each: int = 1, capacity: bool = True) -> Rehearsal:
    """A service that is up."""
    made = Rehearsal([f"n{k}" for k in range(nodes)], capacity)
    made.apply(spec(replicas, each))
    made.run(40)
    assert made.ready == replicas and len(made.nodes) == max(nodes if not capacity else 1, replicas * each)
    made.fewest = replicas
    return made


def test_replicas_get_the_nodes_that_they_ask_for() -> None:
    made = Rehearsal(["n0"])
    made.apply(spec(3, each=2))
    made.tick()
    asks = made.asks()
    assert (asks.nodes, asks.replicas, asks.going, asks.lost) == (6, 3, (), ())
    assert [held.status for held in made.known.replicas] == [ReplicaStatus.PENDING] * 3
    made.run(30)
    assert made.ready == 3 and len(made.nodes) == 6


@pytest.mark.parametrize("update", list(Update))
@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize("replicas", [1, 3])
def test_an_update_loses_no_replica_and_leaves_no_node(replicas: int, each: int, update: Update) -> None:
    made = up(replicas, replicas * each, each=each)
    made.apply(spec(replicas, each, update), "two")
    made.run(200)
    known = made.known
    assert made.fewest == replicas and known.update is UpdateState.DONE
    assert {held.version for held in known.replicas} == {2} and len(made.nodes) == replicas * each
    assert made.nodes[0] == "n0" and any("n0" in held.nodes for held in known.replicas)
    assert step(known, made.world()) == known


def test_without_a_node_more_an_update_goes_on_with_one_replica_less() -> None:
    made = up(3, 3, capacity=False)
    made.apply(spec(3), "two")
    made.run(59)
    assert made.fewest == 3
    made.run(60)
    assert made.fewest == 2 and made.ready == 3 and made.known.update is UpdateState.DONE


def test_the_only_replica_is_not_dropped_for_an_update() -> None:
    made = up(1, 1, capacity=False)
    made.apply(spec(1), "two")
    made.run(300)
    assert made.fewest == 1 and made.known.update is UpdateState.UNDER_WAY
    assert "only replica stays" in made.known.update_reason
    made.capacity = True
    made.run(60)
    assert made.fewest == 1 and made.known.update is UpdateState.DONE and made.nodes == ["n0"]


def test_without_a_balancer_the_old_one_makes_room() -> None:
    made = Rehearsal(["n0"])
    made.apply(spec(1, direct=True))
    made.run(10)
    made.apply(spec(1, direct=True), "two")
    made.run(20)
    assert made.ready == 1 and made.known.update is UpdateState.DONE and made.nodes == ["n0"]


@pytest.mark.parametrize("update", list(Update))
@pytest.mark.parametrize("how", ["bad", "mute"])
def test_a_version_that_is_never_ready_is_rolled_back(how: str, update: Update) -> None:
    made = up(2, 2)
    getattr(made, how).add(2)
    made.apply(spec(2, update=update), "two")
    made.run(150)
    known = made.known
    assert made.fewest == 2 and made.ready == 2 and len(made.nodes) == 2
    assert (known.update, known.target) == (UpdateState.ROLLED_BACK, 1)
    assert known.update_reason.startswith("3 replicas of version 2 ended: ") or update is Update.BLUE_GREEN
    made.apply(spec(2, update=update), "three")
    made.run(150)
    assert (made.known.update, made.known.target, made.fewest) == (UpdateState.DONE, 3, 2)


@pytest.mark.parametrize("how", ["bad", "mute"])
def test_a_service_that_is_never_ready_fails_and_wants_nothing(how: str) -> None:
    made = Rehearsal(["n0"])
    getattr(made, how).add(1)
    made.apply(spec(1))
    made.run(100)
    assert made.asks().nothing and made.known.failed.startswith("3 replicas of version 1 ended: ")
    assert not any(held.placed for held in made.known.replicas)
    status = ReplicaStatus.FAILED if how == "bad" else ReplicaStatus.FAILED_INITIAL_DELAY
    assert [held.status for held in made.known.replicas] == [status] * 3
    made.apply(spec(1), "mended")
    made.run(20)
    assert made.ready == 1 and not made.asks().nothing


def test_a_replica_that_ends_comes_back_with_growing_pauses() -> None:
    made = up(1)
    begun = []
    for _ in range(4):
        made.end(made.known.replicas[-1].id)
        ended = made.now
        made.run(20)
        begun.append(made.known.replicas[-1].begun_at - ended)
    assert begun == sorted(begun) and begun[-1] - begun[0] >= 6
    made.run(70)
    made.end(made.known.replicas[-1].id)
    ended = made.now
    made.run(20)
    assert made.known.replicas[-1].begun_at - ended == begun[0]


def test_bad_probes_take_a_replica_out_at_once_and_end_it_in_the_end() -> None:
    made = up(2, 2)
    sick = made.known.replicas[0].id
    made.sick = {sick}
    made.tick()
    held = made.known.replica(sick)
    assert held and held.status is ReplicaStatus.NOT_READY and made.ready == 1
    made.sick = set()
    made.tick()
    assert made.ready == 2
    made.sick = {sick}
    made.run(20)
    held = made.known.replica(sick)
    assert held and held.status is ReplicaStatus.FAILED_PROBING and made.ready == 2


def test_a_lost_node_is_wanted_again_and_its_replica_elsewhere_or_there() -> None:
    made = up(2, 2, capacity=False)
    made.lost = {"n1"}
    made.run(5)
    asks = made.asks()
    assert asks.lost == ("n1",) and asks.nodes == 2 and made.ready == 1
    assert ReplicaStatus.PREEMPTED in {held.status for held in made.known.replicas}
    assert not made.known.version(1).failures
    made.lost = set()
    made.run(10)
    assert made.ready == 2


def test_a_change_of_what_is_in_front_leaves_replicas_alone() -> None:
    made = Rehearsal(["n0", "n1"])
    made.apply(spec(2), "same")
    made.run(20)
    before = [held.id for held in made.known.replicas]
    made.apply(evolve(spec(2), scaling=Scaling(1, 2)), "same")
    made.run(5)
    assert [held.id for held in made.known.replicas] == before
    assert {held.version for held in made.known.replicas} == {2} and made.known.update is UpdateState.DONE


def test_load_asks_for_nodes_and_gives_them_back() -> None:
    made = Rehearsal(["n0"])
    scaling = Scaling(1, 3, target_qps=10, upscale_delay_s=30, downscale_delay_s=60)
    made.apply(evolve(spec(1), scaling=scaling))
    made.run(15)
    made.need = 2.5
    made.run(29)
    assert made.asks().nodes == 1
    made.run(30)
    assert made.ready == 3 and len(made.nodes) == 3
    made.need = 0.5
    made.run(50)
    assert made.ready == 3
    made.run(40)
    assert made.ready == 1 and made.nodes == ["n0"]


def test_to_nothing_and_back_at_the_first_request() -> None:
    made = Rehearsal(["n0"])
    made.apply(evolve(spec(1), scaling=Scaling(0, 2, target_qps=10, upscale_delay_s=30, downscale_delay_s=60)))
    made.run(3)
    assert not made.known.replicas and made.asks().nodes == 1
    made.need = 0.01
    made.run(10)
    assert made.ready == 1
    made.need = 0.0
    made.run(80)
    assert made.ready == 0 and made.asks().replicas == 0


def is_settled(made: Rehearsal, each: int) -> bool:
    """Whether all that shall be is, and nothing else."""
    known, wanted = made.known, 0 if made.known.failed else made.known.scale.number
    whole = made.ready == wanted and not [held for held in known.replicas if held.placed and not held.ready]
    clean = {held.version for held in known.replicas if held.live} <= {known.target}
    nodes = wanted == 0 or len(made.nodes) == wanted * each
    done = known.failed or known.update is not UpdateState.UNDER_WAY
    return bool(whole and clean and nodes and done and step(known, made.world()) == known)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.integers(1, 40)),
        st.tuples(st.just("apply"), st.integers(1, 4)),
        st.tuples(st.just("bad"), st.integers(1, 4)),
        st.tuples(st.just("blue"), st.integers(1, 4)),
        st.tuples(st.just("lose"), st.integers(0, 5)),
        st.tuples(st.just("end"), st.integers(0, 5)),
        st.tuples(st.just("sick"), st.integers(0, 5)),
        st.tuples(st.just("capacity"), st.integers(0, 1)),
    ),
    max_size=14,
)


@settings(max_examples=40)
@given(EVENTS, st.integers(1, 2), st.integers(1, 4))
def test_whatever_happens_it_settles(events: list[tuple[str, int]], each: int, nodes: int) -> None:
    made = Rehearsal([f"n{k}" for k in range(nodes)])
    made.apply(spec(2, each))
    for count, (what, number) in enumerate(events):
        if what in ("apply", "bad", "blue"):
            made.bad |= {made.known.newest + 1} if what == "bad" else set()
            made.apply(spec(number, each, Update.BLUE_GREEN if what == "blue" else Update.ROLLING), f"body {count}")
        elif what == "lose" and 0 < number < len(made.nodes):
            made.lost.add(made.nodes[number])
        elif what in ("end", "sick") and number < len(made.known.replicas):
            held = made.known.replicas[number]
            if what == "sick":
                made.sick = {held.id}
            elif held.live and held.id in made.jobs:
                made.end(held.id)
        elif what == "capacity":
            made.capacity = bool(number)
        made.run(number if what == "run" else 1)
    made.capacity, made.sick, made.lost = True, set(), set()
    for _ in range(500):
        if is_settled(made, each):
            break
        made.tick()
    assert is_settled(made, each)
    assert made.known.failed or made.known.target not in made.bad
