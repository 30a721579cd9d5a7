"""The local cloud: its nodes, and faults on purpose."""

from __future__ import annotations

import json

from skyrig.cli import flags
from skyrig.cli.verb import Values, flag, positional, verb
from skyrig.errors import BadInput


@verb("ls", [*flags.JSON])
def ls(values: Values) -> None:
    """Show the nodes that run on this machine."""
    from skyrig import local
    from skyrig.cli import tables

    as_json = flags.wants_json(values)
    found = local.nodes()
    if as_json:
        print(json.dumps({"nodes": [node.to_json() for node in found]}, indent=2))
    else:
        tables.local_nodes(found)


@verb(
    "preempt",
    [
        positional("node", "NODE or CLUSTER/NODE"),
        flags.CLUSTER,
        flag("notice", "warn it and its jobs so many seconds before"),
    ],
)
def preempt(values: Values) -> None:
    """Kill a node, as a cloud that takes its machine back."""
    from skyrig import local

    notice_s = values.whole("notice")
    if notice_s == 0:
        raise BadInput("--notice 0: at least 1 second is wanted", hint="without --notice the node is killed at once")
    node = local.preempt(str(values.given["node"]), values.text("cluster"), notice_s=notice_s or 0)
    print(f"node {node.cluster}/{node.name} {f'will be killed in {notice_s} s' if notice_s else 'was killed'}")
