"""What becomes of managed jobs and what is done for them, by values alone."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from managed_world import World, cluster, how, new_job, record

from skyrig.control.jobs.advance import stuck
from skyrig.control.jobs.decide import decide
from skyrig.control.jobs.known import Act, Known, Tried
from skyrig.control.look import Look
from skyrig.jobs.spec import ManagedSpec, Policy, RecoverySpec, Strategy
from skyrig.jobs.state import ManagedJob, ManagedStatus, Recovery
from skyrig.launch.job import Cause, JobStatus
from skyrig.launch.sight import Sight

OUTCOMES = st.sampled_from(["well", "well", "well", "refused", "failed", "before", "after"])
EVENTS = st.one_of(
    st.tuples(st.just("turn"), OUTCOMES),
    st.tuples(st.just("turn"), OUTCOMES),
    st.tuples(st.just("lose"), st.sampled_from(["n0", "n1"])),
    st.tuples(st.just("end"), st.sampled_from([0, 1, 7])),
    st.tuples(st.just("hears"), st.sampled_from([True, False])),
    st.tuples(st.just("cancel"), st.just("")),
)


def play(world: World, events: list[tuple[str, object]]) -> None:
    """Have all that happen; at every moment what must always hold does."""
    for kind, more in events:
        before = world.job
        if world.past:
            break
        if kind == "turn":
            world.turn(str(more))
        elif kind == "lose":
            world.lose(str(more))
        elif kind == "end":
            code = int(str(more))
            world.end(JobStatus.SUCCEEDED if code == 0 else JobStatus.FAILED, code)
        elif kind == "hears":
            world.hears = bool(more)
        else:
            world.gone = True
        assert len(world.live) <= 1
        assert len(set(world.begun)) <= sum(task.attempt for task in world.job.tasks)
        if before.status.ended:
            assert world.job.status is before.status
            assert world.job.current.attempt == before.current.attempt


def finished(world: World) -> World:
    """The world once nothing goes wrong any more."""
    world.hears = True
    for _ in range(60):
        if world.past:
            return world
        if world.turn().act is Act.NOTHING:
            world.now += 400
            world.end(JobStatus.SUCCEEDED, 0)
    raise AssertionError(f"it does not end: {world}")


@given(st.lists(EVENTS, max_size=40), st.integers(1, 3))
def test_whatever_happens_one_attempt_is_at_work_and_the_job_ends_with_nothing_left(
    events: list[tuple[str, object]], tasks: int
) -> None:
    world = World(ManagedSpec((RecoverySpec(restarts=1, codes=(7,)),) * tasks), new_job(tasks))
    play(world, events)
    finished(world)
    assert world.nodes is None
    assert world.gone or world.job.status.ended


@given(st.lists(EVENTS, max_size=30))
def test_a_job_that_is_cancelled_at_any_moment_leaves_nothing(events: list[tuple[str, object]]) -> None:
    world = World(how(), new_job())
    play(world, [each for each in events if each[0] != "cancel"])
    was = world.job.status
    world.gone = True
    finished(world)
    assert world.nodes is None
    assert not world.live
    assert world.job.status is was or not was.ended


@given(st.integers(0, 4), st.lists(st.sampled_from([1, 7]), max_size=12))
def test_what_fails_by_itself_begins_again_as_often_as_it_may(restarts: int, codes: list[int]) -> None:
    world = World(how(restarts=restarts, codes=(7,)), new_job())
    for code in codes:
        for _ in range(12):
            if world.live or world.past:
                break
            world.turn()
            world.now += 400
        world.end(JobStatus.FAILED, code)
    finished(world)
    own = codes.count(1)
    first = next((at for at, _ in enumerate(codes) if codes[: at + 1].count(1) > restarts), None)
    assert world.job.status is (ManagedStatus.FAILED if first is not None else ManagedStatus.SUCCEEDED)
    assert world.job.current.restarts == min(own, restarts)
    assert len(world.begun) == (first + 1 if first is not None else len(codes) + 1)


def running(**more: object) -> ManagedJob:
    """A job whose first attempt is RUNNING."""
    job = new_job()
    task = evolve(job.current, status=ManagedStatus.RUNNING, attempt=1, jobs=(1,), started_at=900.0, running_at=900.0)
    return evolve(job, tasks=(evolve(task, **more),))


def seen(job: ManagedJob, powers: dict[str, str] | None = None, **more: object) -> Known:
    """A job whose head is heard, and whose cluster is there."""
    look = Look(cluster({"n0": 1, "n1": 2}), ("n0", "n1"), "up", powers or {"n0": "up", "n1": "up"})
    key = job.current.key(job.id)
    known = Known(job, how(), 1000.0, look=look, sight=Sight(record(key)), told=key, head="n0.1")
    return evolve(known, **more)


def test_a_node_that_is_gone_ends_the_attempt_before_any_lease_runs_out() -> None:
    found = decide(seen(running(), {"n0": "up", "n1": "gone"}))
    assert (found.job.status, found.job.current.attempt) == (ManagedStatus.RECOVERING, 2)
    assert found.job.current.recoveries == (Recovery(1000.0, Cause.NODE, "n1 is lost", ("n1",)),)
    assert (found.action.act, found.action.nodes) == (Act.REPAIR, ("n1",))


def test_a_node_that_was_told_that_it_goes_was_taken_back() -> None:
    job = running()
    sight = Sight(record(job.current.key(job.id)), leaving={"n1": 1010.0})
    found = decide(seen(job, {"n0": "up", "n1": "gone"}, sight=sight))
    assert found.job.current.recoveries[-1].cause is Cause.PREEMPTION


def test_a_job_that_goes_on_with_fewer_nodes_is_no_other_attempt() -> None:
    spec = how(policy=Policy.REPLACE_NODE)
    found = decide(seen(running(), {"n0": "up", "n1": "gone"}, spec=spec))
    assert (found.job.status, found.job.current.attempt) == (ManagedStatus.RUNNING, 1)
    assert (found.action.act, found.action.nodes) == (Act.MEND, ("n1",))
    again = decide(seen(found.job, spec=spec))
    assert again.action.act is Act.NOTHING
    assert again.job.current.recoveries[-1].took_s > 0


def test_the_loss_of_the_head_is_no_such_loss() -> None:
    found = decide(seen(running(), {"n0": "gone", "n1": "up"}, spec=how(policy=Policy.REPLACE_NODE), sight=None))
    assert (found.job.current.attempt, found.action.act) == (2, Act.REPAIR)


def test_who_wants_no_recovery_has_a_failed_job() -> None:
    found = decide(seen(running(), {"n0": "up", "n1": "gone"}, spec=how(policy=Policy.STOP)))
    assert (found.job.status, found.job.current.exit_code) == (ManagedStatus.FAILED, 4)
    assert found.action.act is Act.FINISH


def test_a_cluster_that_somebody_took_down_cancels_the_job() -> None:
    found = decide(seen(running(), look=Look(None), sight=None))
    assert (found.job.status, found.job.current.reason) == (ManagedStatus.CANCELLED, "its cluster was taken down")


def test_a_cluster_that_ended_itself_is_a_loss() -> None:
    found = decide(seen(running(), look=Look(None, left="no controller was heard of for 1 h"), sight=None))
    assert (found.job.status, found.action.act) == (ManagedStatus.RECOVERING, Act.START)


def test_a_cluster_that_has_lived_as_long_as_it_was_to_cancels_the_job() -> None:
    said = "its time to live of 8h is over"
    found = decide(seen(running(), look=Look(None, left=f"ended itself: {said}"), sight=None))
    assert found.job.status is ManagedStatus.CANCELLED
    job = running()
    told = record(job.current.key(job.id), JobStatus.CANCELLED, reason=said)
    assert decide(seen(job, sight=Sight(told))).job.status is ManagedStatus.CANCELLED
    lease = evolve(told, reason="no controller was heard of for 1 h")
    assert decide(seen(job, sight=Sight(lease))).job.status is ManagedStatus.RECOVERING


def test_where_lost_nodes_cannot_be_had_the_whole_gang_moves() -> None:
    first = decide(seen(running(), {"n0": "up", "n1": "gone"}))
    tried = Tried("repair 0.2", 3, 1, 1000.0)
    moved = decide(evolve(seen(first.job, {"n0": "up", "n1": "gone"}), told="", sight=None, tried=tried))
    assert moved.action.act is Act.MOVE
    assert moved.job.current.recoveries[-1].moved


def test_a_gang_that_is_lost_whole_goes_to_the_next_region_where_that_is_asked_for() -> None:
    there = Look(cluster({"n0": 1}, region="eu"), ("n0",), "up", {"n0": "gone"})
    known = seen(running(), look=there, sight=None)
    assert decide(known).action.act is Act.MOVE
    assert decide(known).action.avoid == "eu"
    assert decide(evolve(known, spec=how(strategy=Strategy.FAILOVER))).action.act is Act.REPAIR


def test_without_capacity_at_its_beginning_it_has_failed_unless_it_is_to_wait() -> None:
    job = decide(Known(new_job(), how(), 1000.0)).job
    tried = Tried("start 0.1", 3, 1, 1000.0)
    waits = decide(Known(job, how(), 1001.0, tried=tried))
    assert (waits.job.status, waits.action.act) == (ManagedStatus.STARTING, Act.START)
    fails = decide(Known(job, evolve(how(), retry=False), 1001.0, tried=tried))
    assert (fails.job.status, fails.action.act) == (ManagedStatus.FAILED_NO_RESOURCE, Act.FINISH)
    never = decide(Known(job, how(), 1001.0, tried=evolve(tried, never=True)))
    assert never.job.status is ManagedStatus.FAILED_NO_RESOURCE


def test_a_job_that_stands_still_begins_again_or_has_failed() -> None:
    job = running()
    still = record(job.current.key(job.id), JobStatus.FAILED, cause=Cause.HANG, exit_code=5, reason="no output")
    assert decide(seen(job, sight=Sight(still))).job.current.recoveries[-1].cause is Cause.HANG
    stops = decide(seen(job, sight=Sight(still), spec=how(hang_stops=True)))
    assert stops.job.status is ManagedStatus.FAILED


def test_surroundings_that_fail_again_and_again_end_it() -> None:
    job, count = running(), 0
    while not job.status.ended:
        key = job.current.key(job.id)
        broken = record(key, JobStatus.FAILED, count + 1, cause=Cause.SURROUNDINGS, exit_code=5, reason="disk full")
        job = decide(evolve(seen(job, sight=Sight(broken), now=910.0 + count), told=key)).job
        count += 1
    assert (count, job.status) == (4, ManagedStatus.FAILED)


def test_who_runs_for_a_while_has_got_somewhere() -> None:
    task = running().current
    early = evolve(task, running_at=0.0, recoveries=(Recovery(100.0, Cause.NODE, "", took_s=5.0),))
    assert stuck(early, 120.0) == 1
    assert stuck(early, 200.0) == 0


def test_what_cannot_be_read_any_more_ends_it() -> None:
    found = decide(seen(running(), defect="the package is gone"))
    assert (found.job.status, found.action.act) == (ManagedStatus.FAILED_CONTROLLER, Act.FINISH)


def test_a_silent_head_that_is_there_is_lost_sooner_on_this_machine_than_elsewhere() -> None:
    known = seen(running(), sight=None, away_s=100.0, suspects={"n0": "n0.1"})
    here = decide(known)
    assert (here.job.current.attempt, here.action.act) == (2, Act.MOVE)
    assert known.look is not None
    assert known.look.cluster is not None
    away = evolve(known, look=evolve(known.look, cluster=evolve(known.look.cluster, cloud="aws")))
    assert decide(away).job.current.attempt == 1
    assert decide(away).action.act is Act.MEND
    assert decide(evolve(away, away_s=80.0)).action.act is Act.NOTHING
    assert decide(evolve(away, away_s=3600 + 601.0)).job.current.attempt == 2


def test_a_node_that_goes_has_a_successor_early_which_takes_its_place() -> None:
    job = running()
    sight = Sight(record(job.current.key(job.id)), leaving={"n0": 1100.0, "n1": 1100.0})
    first = decide(seen(job, sight=sight))
    assert (first.action.act, first.action.nodes) == (Act.SPARE, ("n1",))  # never the head
    assert decide(seen(job, sight=sight, now=1086.0)).action.act is Act.NOTHING
    waits = seen(job, sight=sight, spares={"n1": "n2"})
    assert decide(waits).action.act is Act.NOTHING
    taken = decide(evolve(waits, now=1096.0))
    assert (taken.job.current.attempt, taken.job.current.recoveries[-1].cause) == (2, Cause.PREEMPTION)
    stays = evolve(waits, sight=evolve(sight, leaving={}))
    assert (decide(stays).action.act, decide(stays).action.nodes) == (Act.SPARED, ("n1",))


def test_only_the_machine_that_was_lost_is_made_anew() -> None:
    lost = decide(seen(running(), {"n0": "up", "n1": "gone"})).job
    known = evolve(seen(lost), told="", sight=None)
    assert decide(evolve(known, suspects={"n1": "n1.2"})).action.nodes == ("n1",)
    assert decide(evolve(known, suspects={"n1": "n1.1"})).action.act is Act.SUBMIT


@pytest.mark.parametrize(
    ("cause", "act"), [(Cause.NODE, Act.REPAIR), (Cause.PREEMPTION, Act.REPAIR), (Cause.HANG, Act.NOTHING)]
)
def test_nobody_waits_because_machines_are_taken_away_however_often(cause: Cause, act: Act) -> None:
    before = tuple(Recovery(700.0 + 30 * each, cause, "again", ("n1",), took_s=10.0) for each in range(10))
    job = running(status=ManagedStatus.RECOVERING, attempt=11, recoveries=before, running_at=0.0)
    found = decide(seen(job, {"n0": "up", "n1": "gone"}, told="", sight=None))
    assert found.action.act is act
