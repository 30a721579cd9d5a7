"""The local cloud: its nodes, and faults on purpose."""

from __future__ import annotations

import json

from skyrig.cli import flags
from skyrig.cli.verb import Values, flag, positional, verb


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
        flag("notice", "warn so many seconds before", later=True),
    ],
)
def preempt(values: Values) -> None:
    """Kill a node at once, as a cloud that takes its machine back."""
    from skyrig import local

    node = local.preempt(str(values.given["node"]), values.text("cluster"))
    print(f"node {node.cluster}/{node.name} was killed")
