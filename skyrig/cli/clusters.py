"""Clusters: up, stop, start, autostop, down, status, ssh."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skyrig.cli import flags, recovery
from skyrig.cli.verb import Values, agreed, flag, notify, repeated, verb
from skyrig.errors import BadInput, SkyrigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyrig.cluster.description import ClusterDescription
    from skyrig.stack.status import ClusterStatus

SEVERAL = (*repeated([flags.CLUSTER], "cluster"), flags.ALL, flags.YES)
FLUSH = flag("flush-timeout", "seconds that files may take to reach their buckets: 600, with --force 10")
LOSING = (flag("force", "also where files that jobs wrote are not in their buckets", kind=bool), FLUSH)


@verb(
    "up",
    [
        flags.CLUSTER,
        flag("task", "task file whose resources the cluster shall have"),
        flag("plan", "file that `plan --save` wrote: exactly that is done, or nothing"),
        flags.NODES,
        flags.GPUS,
        *flags.RESOURCES,
        *flags.POLICY,
        flag("force", "remove nodes also where jobs run", kind=bool),
        flags.MINIMIZE,
        flags.RETRY,
        FLUSH,
        flags.YES,
    ],
)
def up(values: Values) -> None:
    """Bring the cluster up, start it, or repair it: `pulumi up` with the cost line before it."""
    from skyrig import bringing
    from skyrig.bringing import Asked, Manner
    from skyrig.stack import config

    if values.text("plan") is not None:
        _planned(values)
        return
    count, stack, file = flags.nodes(values), flags.cluster(values), values.text("task")
    task = flags.task_of(values, file) if file is not None else flags.machines_of(values)
    ask, force, retry = agreed(values.switch("yes")), values.switch("force"), values.switch("retry-until-up")
    count = count or (len(config.read_shape(stack).nodes) if file is None and task is not None else None)
    manner = Manner(ask, force, values.whole("flush-timeout"), starting=False, retry=retry)
    bringing.up(stack, notify, Asked(task, count, wish=flags.wish(values)), manner)


def _planned(values: Values) -> None:
    """Do what a kept plan says; the only other flags that make sense are the cluster's name and -y."""
    from skyrig import bringing
    from skyrig.bringing import Asked, Manner
    from skyrig.planning import saved

    own = (flags.NODES, flags.GPUS, *flags.RESOURCES, *flags.POLICY)
    beside = [each.key for each in own if values.given.get(each.key.replace("-", "_"))]
    if beside or values.text("task") is not None:
        raise BadInput(f"--plan says all of it: no --{(*beside, 'task')[0]} beside it")
    planned = saved.read(Path(values.text("plan") or "").expanduser())
    if values.text("cluster") not in (None, planned.stack):
        raise BadInput(f"the plan is for {planned.stack}, not for {values.text('cluster')}")
    bringing.up(planned.stack, notify, Asked(planned=planned), Manner(agreed(values.switch("yes"))))


@verb("stop", [*SEVERAL, *LOSING])
def stop(values: Values) -> None:
    """Stop the nodes of clusters; their disks stay. Jobs that run there end. Asks on a terminal; -y answers yes."""
    from skyrig import verbs

    force, wait = values.switch("force"), values.whole("flush-timeout")
    for name in _those_there(values):
        verbs.stop(name, notify, _asked(values), force=force, flush_s=wait)


@verb("start", [*SEVERAL, flags.IDLE, *flags.AUTOSTOP, flags.RETRY])
def start(values: Values) -> None:
    """Start the nodes of clusters that were stopped, or stopped themselves; with -i or --down for a while only."""
    from skyrig import verbs

    wanted, retry = flags.autostop(values), values.switch("retry-until-up")
    for name in _those_there(values):
        verbs.start(name, notify, wanted, agreed(values.switch("yes")), retry=retry)


@verb("autostop", [*SEVERAL, flags.IDLE, *flags.AUTOSTOP, flag("off cancel", "no autostop any more", kind=bool)])
def autostop(values: Values) -> None:
    """Have clusters stop, or with --down end, by themselves when idle: also with no client alive."""
    from skyrig import verbs

    wanted = flags.autostop(values)
    if (wanted is None) != values.switch("off"):
        raise BadInput("autostop: when?", hint="-i MINUTES, --down or both; or --off alone")
    for name in _those_there(values):
        if values.switch("all") and _is_off(name):
            notify(f"{name} is stopped: passed over")
        else:
            verbs.autostop(name, wanted, notify)


@verb(
    "down",
    [
        *SEVERAL,
        *LOSING,
        flag("by-tag", "what is found by its tags: also where state or passphrase are lost", kind=bool),
        flag("infra", "with --by-tag, where to look: CLOUD or CLOUD/REGION"),
    ],
)
def down(values: Values) -> None:
    """Destroy clusters: `pulumi destroy`, then a look for leftovers. Asks on a terminal; -y answers yes."""
    from skyrig import verbs

    if values.switch("by-tag"):
        recovery.down_by_tag(values)
        return
    if values.text("infra") is not None:
        raise BadInput("down --infra goes with --by-tag")
    if values.switch("all") and not values.switch("yes") and not sys.stdin.isatty():
        raise BadInput("down --all destroys every cluster", hint="-y agrees to that")
    force, wait = values.switch("force"), values.whole("flush-timeout")
    for name in flags.clusters(values):
        verbs.down(name, notify, _asked(values), force=force, flush_s=wait)


@verb(
    "status",
    [
        *repeated([flags.CLUSTER], "cluster"),
        flags.ALL,
        *flags.JSON,
        flag("ip", "print the head's address alone", kind=bool),
        flag("refresh r", "ask the cloud first", kind=bool),
        flag("endpoint", "print HOST:PORT of an open port; of the only one without PORT", perhaps="[0-9]+"),
        flag("endpoints", "print PORT and HOST:PORT of each open port", kind=bool),
    ],
)
def status(values: Values) -> None:
    """Show clusters and whether their nodes answer."""
    from skyrig import verbs
    from skyrig.cli import tables
    from skyrig.stack import stacks

    as_json = flags.wants_json(values)
    names = flags.clusters(values) if values.many("cluster") else None
    if values.switch("refresh"):
        for stack in names if names is not None else stacks.known():
            stacks.refresh(stack, notify)
    if values.switch("ip"):
        for name in names or [stacks.selected()]:
            print(_described(name).head.host)
        return
    if values.switch("endpoints") or values.given.get("endpoint"):
        _endpoints(values, names if names is not None else [stacks.selected()])
        return
    found = verbs.clusters(names, notify)
    if names is None:
        found += _of_the_seat()
    if as_json:
        print(json.dumps({"clusters": [cluster.to_json() for cluster in found]}, indent=2))
    else:
        tables.clusters(found, detailed=names is not None)


def _of_the_seat() -> list[ClusterStatus]:
    """The clusters of managed jobs whose controller has a node of its own. That it cannot be asked now is told."""
    from skyrig.control import settings

    if settings.read().controller != settings.STACK:
        return []
    from skyrig import afar

    try:
        return afar.clusters(notify)
    except SkyrigError as error:
        notify(f"clusters of managed jobs: {error}")
        return []


def _endpoints(values: Values, names: list[str]) -> None:
    """Print one endpoint alone, or those of all open ports."""
    from skyrig import verbs
    from skyrig.cluster import ports

    if len(names) != 1:
        raise BadInput("endpoints: of which cluster?", hint="name one")
    if values.switch("endpoints"):
        all_open = verbs.endpoints(names[0], notify=notify)
        if flags.wants_json(values):
            print(json.dumps({"endpoints": all_open}, indent=2))
        else:
            print(*(f"{port} {where}" for port, where in all_open.items()), sep="\n")
        return
    asked = None if values.alone("endpoint") else values.whole("endpoint")
    found = verbs.endpoints(names[0], asked, notify)
    if len(found) > 1:
        there = ", ".join(ports.ranges(found))
        raise BadInput(f"cluster {names[0]} has several open ports: {there}", hint="--endpoint PORT")
    print(*found.values())


def _those_there(values: Values) -> list[str]:
    """The clusters that were named; with --all those that have nodes, running or not."""
    from skyrig.stack import described

    names = flags.clusters(values)
    return [name for name in names if described.describe(name) is not None] if values.switch("all") else names


def _is_off(stack: str) -> bool:
    """Whether the head of a cluster is stopped, so that nobody can be asked there."""
    from skyrig.stack import status as status_of

    cluster = _described(stack)
    return cluster.head.id in status_of.stopped(cluster)


@verb("ssh", [flags.CLUSTER, flag("node", "rank or id of the node; the head without it")], takes_rest=True)
def ssh(values: Values) -> None:
    """Open a shell on a node, or run the command after `--` there."""
    from skyrig.provision import is_stopped
    from skyrig.stack import ssh_files
    from skyrig.stack import status as status_of

    stack = flags.cluster(values)
    cluster = _described(stack)
    wanted = values.text("node") or "0"
    fitting = [node for node in cluster.nodes if wanted in (str(node.rank), node.id)]
    if not fitting:
        there = ", ".join(f"{node.rank} ({node.id})" for node in cluster.nodes)
        raise BadInput(f"--node {wanted}: no such node", hint=f"there are: {there}")
    if fitting[0].id in status_of.stopped(cluster):
        raise is_stopped(cluster)
    program = shutil.which("ssh")
    if program is None:
        raise SkyrigError("no ssh client is on PATH", hint="install OpenSSH's")
    config = ssh_files.write(stack, cluster)
    os.execv(program, ["ssh", "-F", str(config), ssh_files.sure_name(cluster, fitting[0]), *values.rest])


def _described(stack: str) -> ClusterDescription:
    from skyrig.provision import not_up
    from skyrig.stack import adoption, described

    adoption.adopt(stack, notify)
    cluster = described.describe(stack)
    if cluster is None:
        raise not_up(stack)
    return cluster


def _asked(values: Values) -> Callable[[str], bool]:
    """Questions are asked on a terminal alone: in a pipe the verb itself is the answer, for nothing is made."""
    return agreed(values.switch("yes") or not sys.stdin.isatty())
