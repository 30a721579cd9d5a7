"""What a cluster that switches itself off leaves to be seen, without asking its nodes: the keeper's note in the records
folder, and the marks in the folders of local nodes.

The note is a file that clients can read, not a request to the keeper: so `status` costs no SSH, and it answers after
the head is gone, when there is nobody to ask.
"""

from __future__ import annotations

from skyrig import places
from skyrig.cluster import autostop
from skyrig.cluster.autostop import AutostopNote
from skyrig.cluster.description import ClusterDescription, Node
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
    """The note of a cluster that has switched itself off, and whose head is off or down for good now; else None."""
    said = note(cluster)
    off = said is not None and said.acted_at and _power(cluster, cluster.head) == ("ended" if said.down else "stopped")
    return said if off else None


def is_off(cluster: ClusterDescription) -> bool:
    """Whether no node of it runs."""
    return all(_power(cluster, node) != "up" for node in cluster.nodes)


def is_gone(cluster: ClusterDescription) -> bool:
    """Whether it has ended itself for good, and no node is there any more (one may have been killed before).
    Elsewhere than on the local cloud the engine has to ask."""
    if cluster.cloud != "local" or _power(cluster, cluster.head) != "ended":
        return False
    return all(_power(cluster, node) in ("ended", "gone") for node in cluster.nodes)


def _power(cluster: ClusterDescription, node: Node) -> str:
    if cluster.cloud != "local":
        return node.power
    return NodeFolder(places.local_nodes(cluster.name) / node.id).power()
