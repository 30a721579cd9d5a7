"""Where one node is and how its identity is checked: all that a connection needs beside the key."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import BadInput


def _words(said: Iterable[str]) -> tuple[str, ...]:
    return tuple(said)


@frozen
class Target:
    """One SSH server. `host_key` is its pinned public key, one OpenSSH line ("ssh-ed25519 AAAA..."); a server with
    another key is refused. With `jump` it is reached through that one, as `host`:`port` seen from there."""

    id: str
    host: str
    port: int
    user: str
    host_key: str = field(repr=False)
    jump: Target | None = None
    proxy: tuple[str, ...] = field(default=(), converter=_words)

    @property
    def where(self) -> str:
        """Node and address in words for messages: "node n1 at 10.0.0.2:22"."""
        via = f" through {self.jump.id}" if self.jump else ""
        return f"node {self.id} at {self.host}:{self.port}{via}"


def from_description(desc: ClusterDescription, node_id: str) -> Target:
    """`node_id` as the client reaches it. BadInput if the cluster has no such node, or if jump hosts run in a ring."""
    return _through(desc, node_id, ())


def inside(node: Node) -> Target:
    """`node` as the head of its cluster reaches it: internal address and port, no jump."""
    return Target(node.id, node.address, node.internal_port, node.user, node.host_key)


def _through(desc: ClusterDescription, node_id: str, seen: tuple[str, ...]) -> Target:
    try:
        node = desc.way(node_id)
    except KeyError:
        known = ", ".join(node.id for node in desc.nodes)
        raise BadInput(f"cluster {desc.name} has no node {node_id!r}", hint=f"its nodes: {known}") from None
    if node_id in seen:
        ring = " -> ".join((*seen, node_id))
        raise BadInput(f"cluster {desc.name}: jump hosts run in a ring: {ring}", hint="mend `jump` of these nodes")
    jump = _through(desc, node.jump, (*seen, node_id)) if node.jump else None
    return Target(node.id, node.host, node.port, node.user, node.host_key, jump, node.proxy)
