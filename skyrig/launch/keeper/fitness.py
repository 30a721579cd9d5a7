"""Whether the cluster's nodes are fit for jobs: preflights, what they found, and the nodes that are cordoned for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import evolve

from skyrig.cluster import cordons
from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import BadInput
from skyrig.fleet.pool import Pool
from skyrig.launch.job import JobRecord, JobRequest
from skyrig.launch.keeper import preflight
from skyrig.launch.keeper.archive import Archive
from skyrig.launch.keeper.nodes import Nodes
from skyrig.launch.keeper.preflight import Place
from skyrig.launch.keeper.table import JobTable
from skyrig.preflight.asked import Asked
from skyrig.preflight.report import NOTE, Report

FACT = "preflights"
"""The newest reports are kept in the table under this name: clients that cannot read the records folder ask for
them."""

_MOST_KEPT = 8
"""So many preflights can be at work at once, on nodes of their own, whose clients all find their report."""


class Running(Protocol):
    """A job that has had its turn."""

    def uses(self, node_id: str) -> bool:
        """Whether it runs on a node, or may bring something there."""


class House(Protocol):
    """What is needed of the keeper."""

    pool: Pool
    table: JobTable
    nodes: Nodes
    archive: Archive

    @property
    def cluster(self) -> ClusterDescription:
        """The cluster as last described."""

    @property
    def flows(self) -> Mapping[int, Running]:
        """The jobs that have had their turn, by number."""

    def schedule(self) -> None:
        """See whose turn it is."""


class Fitness:
    """One per keeper."""

    def __init__(self, house: House) -> None:
        self._house = house

    def admit(self, request: JobRequest) -> None:
        """BadInput for a preflight by itself on nodes where jobs run, which it would disturb."""
        if request.preflight is None or not request.preflight.alone:
            return
        busy = self._jobs_on(request.on)
        if busy:
            free = [node.id for node in self._house.cluster.nodes if not self._jobs_on([node.id])]
            instead = f"wait, or look at the nodes that are free: --node {' --node '.join(free)}" if free else "wait"
            raise BadInput(f"a preflight would disturb {_said(busy)}", hint=instead)

    async def run(self, record: JobRecord, nodes: Sequence[Node], asked: Asked, say: Callable[[str], None]) -> Report:
        """The preflight of a job, said in its log and written down; nodes that it found bad are cordoned, where it may
        refuse them."""
        others = {job: on for job, on in self._jobs_on([node.id for node in nodes]).items() if job != record.id}
        shared = f"that would disturb {_said(others)}" if others else ""
        place = Place(self._house.cluster, tuple(nodes), self._house.pool, shared)
        report = evolve(await preflight.run(place, asked, say), job=record.id)
        bad = {node.id: "; ".join(node.reasons) for node in report.nodes if node.id in report.bad}
        if bad and asked.mode == "refuse":
            report = evolve(report, cordoned=tuple(bad))
        for line in report.lines() or ["all nodes are fit"]:
            say(f"preflight: {line}")
        self._keep(report)
        if report.cordoned:
            self.cordon(bad)
        for node in [node.id for node in nodes if node.id in {*self._house.nodes.cordoned()} - {*bad}]:
            say(f"preflight: {node} is still cordoned; `preflight -c {report.cluster} --uncordon {node}` lets jobs in")
        return report

    def cordon(self, reasons: Mapping[str, str]) -> None:
        """Place no more jobs on these nodes, by id, for these reasons."""
        self._house.nodes.cordon(reasons)
        self.tell()
        self._house.schedule()

    def uncordon(self, node_ids: Sequence[str]) -> None:
        """Let jobs in on these nodes again. BadInput for one that is not cordoned."""
        self._house.nodes.uncordon(node_ids)
        self.tell()
        self._house.schedule()

    def tell(self) -> None:
        """Bring the note on cordoned nodes to the records folder, if there ever was one."""
        if self._house.table.fact("cordoned") is not None:
            self._house.archive.keep(cordons.NOTE, cordons.text(self._house.nodes.cordoned().values()))

    def told(self, job: int | None = None) -> dict[str, Any]:
        """The report of a job (None: the newest; null: there is none), and the cordoned nodes as their note has them:
        for clients."""
        known = cordons.text(self._house.nodes.cordoned().values()) if self._house.nodes.described else "[]"
        found = [each for each in self._kept() if job in (None, each["job"])]
        return {"report": found[-1] if found else None, "cordoned": known}

    def _kept(self) -> list[dict[str, Any]]:
        """The newest reports, the last one last."""
        return self._house.table.fact(FACT) or []

    def _keep(self, report: Report) -> None:
        data = report.to_json()
        self._house.table.set_fact(FACT, [*self._kept()[1 - _MOST_KEPT :], data])
        for name in (NOTE, f"{report.job}/{NOTE}"):
            self._house.archive.keep(name, json.dumps(data))

    def _jobs_on(self, node_ids: Sequence[str]) -> dict[int, list[str]]:
        """Numbers of the jobs that use some of these nodes, with those that each uses."""
        flows = sorted(self._house.flows.items())
        used = {job: [each for each in node_ids if running.uses(each)] for job, running in flows}
        return {job: on for job, on in used.items() if on}


def _said(jobs: Mapping[int, Sequence[str]]) -> str:
    """Jobs for the reader."""
    return ", ".join(f"job {job}, which runs on {', '.join(on)}" for job, on in jobs.items())
