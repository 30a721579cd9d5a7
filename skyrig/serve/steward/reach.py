"""Which nodes are lost. A node is suspected when a replica on it was lost or answers no more; only then it is asked,
over SSH, as the keeper asks it, and it is lost when it has been silent for as long as a lease is long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path

from skyrig.cluster.description import Node
from skyrig.errors import SkyrigError
from skyrig.fleet.deadline import timeout
from skyrig.serve.asking import Asking
from skyrig.serve.state import ReplicaStatus
from skyrig.serve.steward.memory import Memory
from skyrig.serve.steward.world import Machine

SILENT_S = 10.0
"""How long a suspected node may be silent, in seconds."""

ASK_S = 2.0
"""Pause between two questions, and how long one answer may take is ANSWER_S."""

ANSWER_S = 5.0


SUSPECTED_S = 60.0
"""For how long the nodes of a replica that ended are suspected."""


def suspects(memory: Memory, now: float) -> set[str]:
    """Ids of the nodes whose replicas give reason to ask whether they are there."""
    ends = (ReplicaStatus.PREEMPTED, ReplicaStatus.FAILED_PROBING)
    odd = [
        held
        for held in memory.replicas
        if held.status is ReplicaStatus.NOT_READY
        or (held.status in ends and (not held.freed or now - held.ended_at < SUSPECTED_S))
    ]
    return {node for held in odd for node in held.nodes}


class Reach:
    """One per steward. `lost` are ids of nodes, `silent` those of suspects that did not answer last; `changed` is
    called when `lost` becomes another."""

    def __init__(self, home: Path, lost: Collection[str], changed: Callable[[], None]) -> None:
        self.lost = set(lost)
        self.silent: set[str] = set()
        self._key = home / "internal" / "id_ed25519"
        self._changed = changed
        self._asking = Asking(self._ask_on)

    def mind(self, suspects: Collection[Node], present: Collection[str]) -> None:
        """From now on ask these nodes, and those that are lost until they answer; of others than `present` nothing is
        known any more."""
        self.lost &= set(present)
        self.silent &= {node.id for node in suspects}
        self._asking.mind({node.id: node for node in suspects})

    def machine(self, node_id: str) -> Machine:
        """A node as it is seen."""
        return Machine(node_id, node_id in self.lost, node_id in self.silent)

    async def _ask_on(self, node_id: str, node: Node) -> None:
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while True:
            if await self._answers(node):
                heard = loop.time()
                self.silent.discard(node.id)
                self._note(node.id, lost=False)
            else:
                self.silent.add(node.id)
                if loop.time() - heard >= SILENT_S:
                    self._note(node.id, lost=True)
            await asyncio.sleep(ASK_S)

    def _note(self, node_id: str, *, lost: bool) -> None:
        if lost is not (node_id in self.lost):
            (self.lost.add if lost else self.lost.discard)(node_id)
            self._changed()

    async def _answers(self, node: Node) -> bool:
        from skyrig.fleet.connection import Credentials, connect
        from skyrig.fleet.ssh import asyncssh
        from skyrig.fleet.target import inside

        try:
            async with timeout(ANSWER_S):
                key = Credentials(self._key.read_text())
                connection = await connect(inside(node), key, deadline_s=ANSWER_S)
                connection.close()
        except (SkyrigError, asyncssh.Error, OSError, asyncio.TimeoutError):
            return False
        return True
