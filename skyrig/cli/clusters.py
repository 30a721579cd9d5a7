"""Clusters: up, down, status, ssh."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skyrig.cli import flags
from skyrig.cli.verb import Values, agreed, flag, notify, repeated, verb
from skyrig.errors import BadInput, SkyrigError

if TYPE_CHECKING:
    from skyrig.cluster.description import ClusterDescription


@verb(
    "up",
    [
        flags.CLUSTER,
        flag("task", "task file whose resources the cluster shall have"),
        flags.INFRA,
        flags.NODES,
        flags.YES,
    ],
)
def up(values: Values) -> None:
    """Bring the cluster up, or repair it: `pulumi up` with the cost line before it."""
    from skyrig import provision
    from skyrig.task import reading

    count, where, stack = flags.nodes(values), flags.cloud(values), flags.cluster(values)
    file = values.text("task")
    task = None
    if file is not None:
        task = reading.load(Path(file))
        provision.refuse_without_cloud(task, where)
    provision.up(stack, notify, task=task, nodes=count, cloud=where, confirm=agreed(values.switch("yes")))


@verb("down", [*repeated([flags.CLUSTER], "cluster"), flags.YES])
def down(values: Values) -> None:
    """Destroy the cluster: `pulumi destroy`, then a look for leftovers. Asks on a terminal; -y answers yes."""
    from skyrig import provision
    from skyrig.cluster.shape import stack_name
    from skyrig.stack import stacks

    names = [stack_name(name) for name in values.many("cluster")] or [stacks.selected()]
    for name in names:
        if not stacks.exists(name):
            raise provision.no_such_cluster(name)
    if sys.stdin.isatty() and not agreed(values.switch("yes"))(f"destroy {', '.join(names)}?"):
        raise BadInput("nothing was destroyed")
    for name in names:
        provision.down(name, notify)


@verb(
    "status",
    [
        flags.CLUSTER,
        *flags.JSON,
        flag("ip", "print the head's address alone", kind=bool),
        flag("refresh", "ask the cloud first", kind=bool),
        flag("endpoint", "print the endpoint of a port", later=True),
    ],
)
def status(values: Values) -> None:
    """Show clusters and whether their nodes answer."""
    from skyrig import sdk
    from skyrig.cli import tables
    from skyrig.stack import stacks

    as_json = flags.wants_json(values)
    name = flags.cluster(values) if values.text("cluster") is not None else None
    if values.switch("refresh"):
        for stack in [name] if name is not None else stacks.known():
            stacks.refresh(stack, notify)
    if values.switch("ip"):
        print(_described(name or stacks.selected()).head.host)
        return
    found = sdk.clusters(name)
    if as_json:
        print(json.dumps({"clusters": [cluster.to_json() for cluster in found]}, indent=2))
    else:
        tables.clusters(found, detailed=name is not None)


@verb("ssh", [flags.CLUSTER, flag("node", "rank or id of the node; the head without it")], takes_rest=True)
def ssh(values: Values) -> None:
    """Open a shell on a node, or run the command after `--` there."""
    from skyrig.stack import ssh_files

    stack = flags.cluster(values)
    cluster = _described(stack)
    wanted = values.text("node") or "0"
    fitting = [node for node in cluster.nodes if wanted in (str(node.rank), node.id)]
    if not fitting:
        there = ", ".join(f"{node.rank} ({node.id})" for node in cluster.nodes)
        raise BadInput(f"--node {wanted}: no such node", hint=f"there are: {there}")
    program = shutil.which("ssh")
    if program is None:
        raise SkyrigError("no ssh client is on PATH", hint="install OpenSSH's")
    config = ssh_files.write(stack, cluster)
    os.execv(program, ["ssh", "-F", str(config), ssh_files.host_name(cluster, fitting[0]), *values.rest])


def _described(stack: str) -> ClusterDescription:
    from skyrig.stack import described

    cluster = described.describe(stack)
    if cluster is None:
        raise BadInput(f"cluster {stack} is not up", hint=f"bring it up with `up -c {stack}`")
    return cluster
