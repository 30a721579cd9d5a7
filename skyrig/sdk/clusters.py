"""Clusters: launch and what becomes of them. Each function checks what it was given, and makes a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skyrig.cluster.autostop import WAITS, Autostop
from skyrig.cluster.shape import stack_name
from skyrig.errors import BadInput
from skyrig.sdk.aim import aimed
from skyrig.sdk.answers import ClusterRecord, OptimizeTarget, ResourceHandle, StatusRefreshMode
from skyrig.sdk.dag import Dag
from skyrig.sdk.missing import not_yet, refuse
from skyrig.sdk.request.calls import RequestId, begin
from skyrig.sdk.task import Task
from skyrig.task.override import placed


def launch(
    task: Task | Dag,
    cluster_name: str | None = None,
    retry_until_up: bool = False,
    idle_minutes_to_autostop: int | None = None,
    wait_for: str | None = None,
    dryrun: bool = False,
    down: bool = False,
    backend: object = None,
    optimize_target: OptimizeTarget = OptimizeTarget.COST,
    no_setup: bool = False,
    clone_disk_from: str | None = None,
    fast: bool = False,
) -> RequestId[tuple[int | None, ResourceHandle]]:
    """Run a task: provision, sync, set up, run; without a name on a new cluster. Gives the job's id (None where there
    is nothing to run) and where the cluster is, once the job is submitted. Nodes of a live cluster that the task
    does not fit are not replaced: that is ResourcesMismatch. With `retry_until_up` offers are tried until one can be
    had. With `dryrun` what would be done is shown, nothing is made, and both are None. `optimize_target` TIME goes by
    the task's own hours (Task.set_time_estimator). `fast` says nothing: what is done is not done again."""
    refuse("launch", backend=backend, clone_disk_from=clone_disk_from)
    name = None if cluster_name is None else stack_name(cluster_name)
    stop = _autostop(idle_minutes_to_autostop, wait_for, down)
    asked = _of(task)
    asked["task"] = aimed(asked["task"], optimize_target)
    if dryrun:
        return begin("plan", name or "", cluster_name=name, setup=not no_setup, **asked)
    more = {"autostop": stop, "retry_until_up": retry_until_up, **asked}
    return begin("launch", name or "", cluster_name=name, setup=not no_setup, **more)


def exec(
    task: Task | Dag, cluster_name: str, dryrun: bool = False, down: bool = False, backend: object = None
) -> RequestId[tuple[int | None, ResourceHandle]]:
    """Sync and run a task on a cluster that is up: no provisioning, no setup. Gives the same as `launch`."""
    refuse("exec", dryrun=dryrun, down=down, backend=backend)
    name = stack_name(cluster_name)
    return begin("exec", name, cluster_name=name, **_of(task))


def status(
    cluster_names: str | Sequence[str] | None = None,
    refresh: StatusRefreshMode = StatusRefreshMode.NONE,
    all_users: bool = False,
) -> RequestId[list[ClusterRecord]]:
    """Clusters that are there; with names or patterns (`train-*`) those of them."""
    names = [cluster_names] if isinstance(cluster_names, str) else cluster_names
    return begin("status", cluster_names=names, refresh=refresh is StatusRefreshMode.FORCE)


def start(
    cluster_name: str,
    idle_minutes_to_autostop: int | None = None,
    wait_for: str | None = None,
    retry_until_up: bool = False,
    down: bool = False,
    force: bool = False,
) -> RequestId[ResourceHandle]:
    """Start a cluster that was stopped, or stopped itself; with `force` repair it too. With `retry_until_up` it is
    tried until there is capacity."""
    name, stop = stack_name(cluster_name), _autostop(idle_minutes_to_autostop, wait_for, down)
    return begin("start", name, cluster_name=name, force=force, autostop=stop, retry_until_up=retry_until_up)


def stop(
    cluster_name: str, purge: bool = False, graceful: bool = False, graceful_timeout: int | None = None
) -> RequestId[None]:
    """Stop a cluster after its jobs have been ended; its disks stay."""
    refuse("stop", purge=purge, graceful=graceful, graceful_timeout=graceful_timeout)
    name = stack_name(cluster_name)
    return begin("stop", name, cluster_name=name)


def down(
    cluster_name: str, purge: bool = False, graceful: bool = False, graceful_timeout: int | None = None
) -> RequestId[None]:
    """Destroy a cluster after its jobs have been ended; job records and logs stay."""
    refuse("down", purge=purge, graceful=graceful, graceful_timeout=graceful_timeout)
    name = stack_name(cluster_name)
    return begin("down", name, cluster_name=name)


def autostop(cluster_name: str, idle_minutes: int, wait_for: str | None = None, down: bool = False) -> RequestId[None]:
    """Stop a cluster, or with `down` destroy it, after so many idle minutes; -1 cancels that."""
    name = stack_name(cluster_name)
    stop = None if idle_minutes < 0 else Autostop(idle_minutes, down, wait_for or WAITS[0])
    return begin("autostop", name, cluster_name=name, autostop=stop)


def endpoints(cluster: str, port: int | str | None = None) -> RequestId[dict[int, str]]:
    """Where the opened ports of a cluster are reached."""
    name = stack_name(cluster)
    return begin("endpoints", name, cluster_name=name, port=None if port is None else int(port))


def preflight_nodes(
    cluster_name: str, nodes: Sequence[str] | None = None, quick: bool = False, cordon: bool = True
) -> RequestId[dict[str, Any]]:
    """Look at the nodes of a cluster (without names at all) and measure their network; what was found, as
    `preflight --json` has it. With `cordon` those that are bad get no jobs until they are made anew."""
    name = stack_name(cluster_name)
    return begin("preflight", name, cluster_name=name, nodes=tuple(nodes or ()), quick=quick, cordon=cordon)


def _autostop(idle_minutes: int | None, wait_for: str | None, down: bool) -> Autostop | None:
    """What a caller says of stopping; None for nothing."""
    if idle_minutes is None and not down:
        if wait_for is not None:
            raise BadInput("wait_for goes with idle_minutes_to_autostop or down")
        return None
    return Autostop(idle_minutes or 0, down, wait_for or WAITS[0])


def _of(task: Task | Dag) -> dict[str, Any]:
    """The one task, as its worker wants it, and what should be told of it. BadInput where files that it names are not
    there."""
    if isinstance(task, Dag):
        if len(task) > 1:
            raise not_yet("a Dag of several tasks", hint="launch them one after another")
        if not task.tasks:
            raise BadInput("the Dag holds no task")
        task = task.tasks[0]
    task.file.require_files()
    return {"task": placed(task.value), "told": (*task.file.mends, *task.file.warnings)}
