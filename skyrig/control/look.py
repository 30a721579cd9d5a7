"""A ward's cluster as it was seen, as a value."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from skyrig import places
from skyrig.cluster.description import ClusterDescription

AWAY_S = 10.0
"""How long a head may be silent before its cloud is asked whether it is there."""

SHUT_S = 90.0
"""How long a head that is there may let nobody in before it is looked after."""


@frozen
class Look:
    """A cluster as it was seen: its description (None: there is none), the ids that its stack's config wants and the
    `power` that it wants, the power of each node there is, and why it is off or gone by its own doing ("": it is
    not)."""

    cluster: ClusterDescription | None = None
    nodes: tuple[str, ...] = ()
    power: str = "up"
    powers: Mapping[str, str] = field(factory=dict)
    left: str = ""

    @property
    def head_power(self) -> str:
        """The head's: up, stopped, ended or gone; gone where there is no cluster."""
        return self.powers.get(self.cluster.head.id, "gone") if self.cluster is not None else "gone"

    @property
    def off(self) -> str:
        """Why the cluster is off on purpose, in one line; "" where it is not."""
        if self.left and self.head_power != "up":
            return self.left
        if self.power != "up":
            return "its cluster was taken down" if self.power == "down" else "its cluster is stopped"
        return "its cluster is stopped" if self.head_power == "stopped" else ""


def marks(cluster: ClusterDescription) -> str:
    """What tells the nodes of a cluster, as they are now, from any others."""
    return " ".join(f"{node.id}:{node.life}" for node in cluster.nodes)


def deployment(stack: str) -> object:
    """What changes whenever somebody deploys a stack, by hand too."""
    try:
        found = (places.stack(stack) / "cluster.json").stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
