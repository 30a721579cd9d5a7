"""What a task file says of recovery, as the controller is told of it."""

from __future__ import annotations

import pytest

from skyrig.errors import BadInput
from skyrig.jobs import asked
from skyrig.jobs.spec import Policy, RecoverySpec, Strategy
from skyrig.task import reading, writing
from skyrig.task.model import Task
from skyrig.task.override import Override, overridden


def task(recovery: str = "{}", resources: str = "{}", nodes: int = 3) -> Task:
    """A task with these sections."""
    return reading.loads(
        f"run: x\nnum_nodes: {nodes}\nresources: {resources}\nconfig: {{skyrig: {{recovery: {recovery}}}}}\n", "t.yaml"
    ).only()


def spec(recovery: str = "{}", resources: str = "{}", nodes: int = 3) -> RecoverySpec:
    """The same as a spec, also when it was written down in between."""
    found = asked.recovery(task(recovery, resources, nodes))
    again = reading.loads(_written(task(recovery, resources, nodes)), "again.yaml").only()
    assert asked.recovery(again) == found
    return found


def _written(of: Task) -> str:
    return writing.of_file(reading.TaskFile((of,)))


def test_nothing_said_is_the_usual() -> None:
    assert spec() == RecoverySpec() == spec(resources="{job_recovery: EAGER_NEXT_REGION}")


def test_skypilots_words() -> None:
    assert spec(resources="{job_recovery: failover}").strategy is Strategy.FAILOVER
    full = spec(resources="{job_recovery: {max_restarts_on_errors: 3, recover_on_exit_codes: [33, 34]}}")
    assert (full.restarts, full.codes, full.strategy) == (3, (33, 34), Strategy.EAGER_NEXT_REGION)
    assert spec(resources="{job_recovery: {recover_on_exit_codes: 7}}").codes == (7,)


def test_no_strategy_is_the_policy_that_stops() -> None:
    stopping = spec(resources="{job_recovery: {strategy: none, max_restarts_on_errors: 2}}")
    assert (stopping.policy, stopping.restarts) == (Policy.STOP, 2)
    with pytest.raises(BadInput, match="say different things"):
        spec("{policy: restart}", "{job_recovery: none}")


def test_our_own_words() -> None:
    found = spec("{policy: replace_node, min_nodes: 2, hang_after: 30m, on_hang: stop, lease: 2h, early: false}")
    assert (found.policy, found.min_nodes, found.hang_s, found.hang_stops) == (Policy.REPLACE_NODE, 2, 1800.0, True)
    assert (found.lease_s, found.early) == (7200.0, False)


@pytest.mark.parametrize(
    ("recovery", "resources", "why"),
    [
        ("{policy: replace_node, min_nodes: 4}", "{}", "min_nodes is 4, the task has num_nodes 3"),
        ("{}", "{job_recovery: sometimes}", "no such strategy"),
        ("{min_nodes: 2}", "{}", "says nothing with policy restart"),
        ("{}", "{any_of: [{job_recovery: FAILOVER, cpus: 2}, {cpus: 4}]}", "say different things"),
    ],
)
def test_what_cannot_be_is_refused(recovery: str, resources: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        asked.recovery(task(recovery, resources))


def test_the_command_line_names_the_strategy_and_leaves_the_rest() -> None:
    told = overridden(
        task(resources="{job_recovery: {max_restarts_on_errors: 2}}"), Override(resources={"job_recovery": "failover"})
    )
    assert asked.recovery(told) == RecoverySpec(strategy=Strategy.FAILOVER, restarts=2)
    with pytest.raises(BadInput, match="--job-recovery"):
        overridden(task(), Override(resources={"job_recovery": "sometimes"}))
