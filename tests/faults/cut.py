"""Partitions: a node that cannot reach others, is not reached by them, or both, while its processes run on.

Packets are lost in silence, as on a broken cable: the sender's table of neighbours is told a hardware address that
nobody has. That needs no firewall, and one direction can be cut alone. `Relay.stall` (slow.py) does it for clients.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from faults.fault import Fault
from faults.node import FaultyNode

NOBODY = "02:00:de:ad:be:ef"
"""A hardware address that no node has."""

GATE = "10.31.0.1"
"""Where the nodes' way to the outside is."""

Direction = Literal["both", "out", "in"]


class Cut(Fault):
    """Cuts `node` off from `peers` ("all" peers of a stack are its other nodes). `direction` is the node's: "out" loses
    what it sends, "in" what it would receive. With `outside` its way out of the cluster is cut too."""

    def __init__(
        self,
        node: FaultyNode,
        peers: Iterable[FaultyNode],
        direction: Direction = "both",
        *,
        outside: bool = False,
    ) -> None:
        super().__init__()
        self.node = node
        self.peers = [peer for peer in peers if peer.id != node.id]
        self.direction = direction
        self.outside = outside
        self._lost: list[tuple[FaultyNode, str]] = []

    def _do(self) -> None:
        if self.direction in ("both", "out"):
            self._lost += [(self.node, peer.address) for peer in self.peers]
        if self.direction in ("both", "in"):
            self._lost += [(peer, self.node.address) for peer in self.peers if peer.server is not None]
        if self.outside:
            self._lost.append((self.node, GATE))
        for sender, address in self._lost:
            words = ("ip", "neigh", "replace", address, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent")
            sender.run(*words, spaces="n", check=sender.server is not None)

    def _undo(self) -> None:
        while self._lost:
            sender, address = self._lost.pop()
            sender.run("ip", "neigh", "del", address, "dev", "eth0", spaces="n", check=False)  # a dead node has none
