"""What a task asks for when its nodes are lost, or it fails: from its file to a RecoverySpec."""

from __future__ import annotations

from collections.abc import Sequence

from skyrig.errors import BadInput
from skyrig.jobs.spec import Policy, RecoverySpec, Strategy
from skyrig.task.model import Task
from skyrig.task.recovery import NO_STRATEGY, STRATEGIES, JobRecovery

_USUAL = RecoverySpec()


def recovery(task: Task) -> RecoverySpec:
    """How a task comes back. BadInput where its resources and its config say different things, or more than its nodes
    can do."""
    given, own = _agreed(task), task.config.recovery
    policy = Policy(own.policy) if own.policy is not None else Policy.RESTART
    if given.strategy == NO_STRATEGY:
        if own.policy is not None and policy is not Policy.STOP:
            raise _two_things(f"job_recovery none and config.skyrig.recovery.policy {policy}")
        policy = Policy.STOP
    least = own.min_nodes or 0
    if least and policy is not Policy.REPLACE_NODE:
        raise BadInput(
            f"config.skyrig.recovery: min_nodes says nothing with policy {policy}",
            hint=f"policy: {Policy.REPLACE_NODE} goes on with so many nodes",
        )
    if least > task.num_nodes:
        raise BadInput(f"config.skyrig.recovery: min_nodes is {least}, the task has num_nodes {task.num_nodes}")
    codes = given.recover_on_exit_codes
    return RecoverySpec(
        strategy=_strategy(given),
        policy=policy,
        min_nodes=least,
        restarts=given.max_restarts_on_errors or 0,
        codes=() if codes is None else codes if isinstance(codes, tuple) else (codes,),
        hang_s=float(own.hang_after or 0),
        hang_stops=own.on_hang == "stop",
        lease_s=float(own.lease) if own.lease is not None else _USUAL.lease_s,
        early=_USUAL.early if own.early is None else own.early,
    )


def _strategy(given: JobRecovery) -> Strategy:
    if given.strategy in (None, NO_STRATEGY):
        return _USUAL.strategy
    if given.strategy not in STRATEGIES:
        raise BadInput(f"job_recovery {given.strategy}: no such strategy", hint=f"{', '.join(STRATEGIES)} or none")
    return Strategy(given.strategy)


def _agreed(task: Task) -> JobRecovery:
    """The one `job_recovery` of all candidates: it is the job's, wherever it runs."""
    said: Sequence[JobRecovery] = [each.job_recovery or JobRecovery() for each in task.choice.each]
    if any(each != said[0] for each in said):
        raise _two_things("the candidates of resources: job_recovery of one and of another")
    return said[0]


def _two_things(which: str) -> BadInput:
    return BadInput(f"{which} say different things", hint="a job comes back in one way, wherever it runs")
