"""What a cluster that switches itself off leaves to be seen, without asking its nodes: the keeper's note in the records
folder, and the marks in the folders of local nodes.

The note is a file that clients can read, not a request to the keeper: so `status` costs no SSH, and it answers after
the head is gone, when there is nobody to ask.
"""

from __future__ import annotations

from skyrig import places
from skyrig.cluster import autostop
from skyrig.cluster.autostop import AutostopNote
from skyrig.cluster.description import ClusterDescription
from skyrig.fleet.local.layout import NodeFolder


def note(cluster: ClusterDescription) -> AutostopNote | None:
    """What the keeper of this very cluster last said; None where it never said anything."""
    said = left(cluster.name)
    return said if said is not None and said.head == cluster.head.incarnation else None


def left(stack: str) -> AutostopNote | None:
    """The note that lies there, be it of this cluster of the stack or of an earlier one."""
    try:
        return autostop.read_note((places.records(stack) / autostop.NOTE).read_bytes())
    except OSError:
        return None


def acted(cluster: ClusterDescription) -> AutostopNote | None:
    """The note of a cluster that has switched itself off, and is off or down now as a whole; else None."""
    said = note(cluster)
    if said is None or not said.acted_at:
        return None
    return said if (is_gone(cluster) if said.down else _all(cluster, "stopped")) else None


def is_gone(cluster: ClusterDescription) -> bool:
    """Whether all its nodes have ended themselves for good. Elsewhere than on the local cloud the engine has to ask."""
    return cluster.cloud == "local" and _all(cluster, "ended")


def _all(cluster: ClusterDescription, power: str) -> bool:
    if cluster.cloud != "local":
        return all(node.power == power for node in cluster.nodes)
    root = places.local_nodes(cluster.name)
    return all(NodeFolder(root / node.id).power() == power for node in cluster.nodes)
