"""Nodes that may be taken away are asked by a program of ours on each of them (skyrig.launch.notices): only a node can
ask its cloud's metadata service about itself.

It runs as long as a job does, on an SSH session of the keeper's, and remembers nothing: whoever starts it again, after
a broken connection or as the next keeper, hears what there is to hear. Supervisors do not ask, though they outlive
keepers: each job's ranks on other nodes must hear of it too, and only the keeper reaches those.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from skyrig.cluster.clouds import registered
from skyrig.cluster.description import ClusterDescription, Node
from skyrig.fleet.pool import Pool
from skyrig.launch.keeper.bell import Bell
from skyrig.launch.keeper.listening import Listeners, Topic
from skyrig.launch.keeper.notices import Audience, Notices
from skyrig.launch.keeper.plan import Plan
from skyrig.launch.keeper.table import JobTable

_PAUSE_S = 2.0
"""How often a node asks its cloud: of the 30 s that some give, few are lost."""
_PAUSES_S = {"file": 0.5}
"""The same by service, where it is another: a look at a file costs nothing."""

_TOPIC = Topic("notices", "notices", again_s=2.0, silence_s=30.0)
"""A program that is well is silent for a sixth of that at most."""


class House(Protocol):
    """What is needed of the keeper."""

    log: logging.Logger
    pool: Pool
    table: JobTable
    bell: Bell

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described."""

    @property
    def flows(self) -> Mapping[int, Running]:
        """The jobs that have had their turn, by their numbers."""


class Running(Protocol):
    """One of those jobs."""

    plan: Plan
    audience: Audience


class Lookout:
    """Listens to the nodes of running jobs. What it hears goes to all ranks of the jobs that have one there, and into
    `notices`."""

    def __init__(self, house: House) -> None:
        self.notices = Notices(house.table)
        self._house = house
        self._listeners = Listeners(house, _TOPIC, self._take)

    @property
    def _service(self) -> str:
        """What nodes of the cluster ask, whatever their capacity: maintenance comes to machines on demand as well."""
        return registered(self._house.cluster.cloud).notices

    def mind(self) -> None:
        """From now on listen to the nodes that jobs run on now, and to no others."""
        held = {node_id for running in self._house.flows.values() for node_id in running.plan.shares}
        nodes = self._house.cluster.nodes if held and self._service else ()
        pause_s = _PAUSES_S.get(self._service, _PAUSE_S)
        here = [node for node in nodes if node.id in held]
        self._listeners.only(here, {"service": self._service, "pause_s": pause_s})

    def _take(self, node: Node, said: dict[str, Any]) -> None:
        if "id" in said and (notice := self.notices.add(node, said)):
            for running in self._house.flows.values():
                running.audience.hear(notice)
            self._house.bell.ring()
        elif "problem" in said:
            self._house.log.warning("notices of %s: its metadata service does not answer: %s", node.id, said["problem"])
