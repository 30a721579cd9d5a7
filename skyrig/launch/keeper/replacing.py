"""A job that goes on while a node of it is replaced: what is decided about that is written down here, and a machine
that comes in a lost one's place is brought to where the others are before its rank starts on it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from attrs import frozen

from skyrig.cluster.description import Node
from skyrig.errors import SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.target import inside
from skyrig.launch import nodeside
from skyrig.launch.job import JobRecord, JobRequest, Scripts
from skyrig.launch.keeper import booting, gang, sameness, setups
from skyrig.launch.keeper.elastic import Fit, Gang
from skyrig.launch.keeper.house import House
from skyrig.launch.keeper.logbook import Logbook
from skyrig.launch.keeper.nodes import FilesRefused
from skyrig.launch.keeper.plan import Plan
from skyrig.launch.keeper.rank import Rank
from skyrig.launch.keeper.seating import Start
from skyrig.launch.lines import SETUP

_ROUSE_S = 30.0
"""How long a node may take to find processes that wait in vain."""

_PATIENCE_S = 30.0
"""Seconds beyond the lease for which a node that has just come is waited for."""


class Running(Protocol):
    """What is needed of the job's flow."""

    record: JobRecord
    plan: Plan
    logbook: Logbook

    @property
    def nodes(self) -> Sequence[Node]:
        """The job's nodes in rank order, each as it is or was."""

    @property
    def group(self) -> Sequence[Node]:
        """The nodes that setup and files are for."""

    def seat(self, number: int, node: Node, life: str = "") -> Start:
        """A rank on its node; `life` names one that it was not the first to begin in."""

    def setup_seat(self, setup: Scripts, node: Node, group: Sequence[Node], life: str = "") -> Start:
        """The same of its setup, which the nodes `group` get."""

    def look_again(self) -> None:
        """Take the cluster as it is described now."""

    def moved(self, number: int, node: Node) -> None:
        """A rank has another node from now on."""

    def write(self, **decided: Any) -> None:
        """Write what is decided about the job; its record tells which nodes are `lost`."""

    def news(self) -> asyncio.Event:
        """An event that is set when the cluster was described again."""

    def at_work(self, ranks: Sequence[Rank]) -> None:
        """These are the ranks that run now: they hear of notices and of nodes that are gone."""

    def settle(self, verdict: gang.Verdict) -> None:
        """Write why the job fails."""


async def run(
    running: Running, house: House, request: JobRequest, cancel: asyncio.Event, patience_s: float
) -> gang.GangEnd:
    """Run the ranks of a job with JobRequest.min_nodes to its end."""
    elastic = Gang(
        Crew(running, house, request),
        len(running.nodes),
        request.min_nodes,
        cancel,
        running.logbook,
        running.news,
        patience_s=patience_s,
        settle=running.settle,
    )
    verdict = running.plan.verdict
    return await (elastic.run() if verdict is None else elastic.end(verdict))


@frozen
class Crew:
    """skyrig.launch.keeper.elastic.Crew."""

    running: Running
    house: House
    request: JobRequest

    def seat(self, number: int) -> Start:
        """A rank on the node that it has now."""
        node = self.running.nodes[number]
        return self.running.seat(number, node, self.running.plan.lives.get(node.id, ""))

    def absent(self, number: int) -> str:
        """Why there is no rank on its node any more."""
        return self.running.plan.lost.get(self.running.nodes[number].id, "")

    def lose(self, number: int, reason: str) -> None:
        """The job goes on without this rank."""
        node, plan = self.running.nodes[number], self.running.plan
        lost = {**plan.lost, node.id: reason or "it is gone"}
        announced = self.house.lookout.notices.loss(node.id, node.incarnation)
        left, all_of_them = len(plan.shares) - len(lost), len(plan.shares)
        why = announced or reason
        self.running.logbook.flush(number)
        self.running.logbook.note(f"lost node {node.id}: {why}; the job goes on with {left} of {all_of_them} nodes")
        self.running.write(lost=lost)

    async def rouse(self, number: int) -> None:
        """Have the processes of a rank end that wait for one that was lost. A node where that cannot be done now is
        about to be lost too, or its processes give up by themselves in the end."""
        running, target = self.running, inside(self.running.nodes[number])
        nodes = len(running.plan.shares) - len(running.plan.lost)
        folder = f"~/.skyrig/jobs/{running.record.uid}"
        command, stdin = nodeside.program("rouse", {"folder": folder, "nodes": nodes})
        try:
            await fanout.run(self.house.pool, target, command, stdin=stdin, timeout_s=_ROUSE_S)
        except SkyrigError as error:
            self.house.log.info("job %d: processes that wait on %s: %s", running.record.id, target.id, error)

    def comer(self, number: int) -> Node | None:
        """The machine that a lost rank may join on: one that lets the keeper in and is not about to go."""
        come = self._described(number)
        return come if come is not None and self.house.lets_in(come) and self.house.usable([come]) else None

    def is_made_anew(self, number: int) -> bool:
        """Whether another machine has taken the place of the one that a rank runs on."""
        come = self._described(number)
        return come is not None and come.life != self.running.nodes[number].life

    def _described(self, number: int) -> Node | None:
        node_id = self.running.nodes[number].id
        return next((node for node in self.house.cluster.nodes if node.id == node_id), None)

    async def fit(self, number: int, node: Node, leave: asyncio.Event) -> Fit:
        """Files, buckets and setup of a node that came later, or came back."""
        try:
            return await _Fitting(self, number, node, leave).run()
        except FilesRefused as error:
            return Fit(error.message)
        except SkyrigError as error:  # it does not answer, or took too long
            return Fit(error.message, again=True)

    def tried(self, node: Node) -> None:
        """What was begun on a node came to nothing: what is begun next has other folders."""
        tries = self.running.plan.tries
        self.running.write(tries={**tries, node.id: tries.get(node.id, 0) + 1})

    def life(self, node: Node) -> str:
        """What is added to the names of the folders in which a rank lives that begins there now: no other has it, on
        this machine or another."""
        known = hashlib.sha256(node.life.encode()).hexdigest()[:8]
        return f"-{known}.{self.running.plan.tries.get(node.id, 0)}"

    def join(self, number: int, node: Node) -> None:
        """The rank has this node from now on."""
        plan, life = self.running.plan, self.life(node)
        self.running.moved(number, node)
        lost = {node_id: why for node_id, why in plan.lost.items() if node_id != node.id}
        self.running.write(
            lost=lost,
            nodes={**plan.nodes, node.id: node},
            lives={**plan.lives, node.id: life},
            tries={**plan.tries, node.id: plan.tries.get(node.id, 0) + 1},
            incarnations={**plan.incarnations, node.id: node.incarnation},
            bases=self.bases(f"rank-{number}{life}", number),
        )
        with_all = len(plan.shares) - len(lost)
        self.running.logbook.note(f"node {node.id} is there anew: rank {number} joins, {with_all} nodes")

    def bases(self, name: str, log_rank: int) -> dict[str, int]:
        """With what stands in the log now under the number of a rank that begins in a new folder."""
        book, known = self.running.logbook, self.running.plan.bases
        book.flush(log_rank)
        return {name: book.offsets.get(log_rank, 0), **known}

    def excuse(self) -> None:
        """Failures up to now are no fault of the job's."""
        self.running.write(excused=time.time())

    @property
    def excused(self) -> float:
        """The moment up to which they are not, on the event loop's clock."""
        return self.running.plan.excused - time.time() + asyncio.get_running_loop().time()

    def present(self, ranks: Sequence[Rank]) -> None:
        """These are the ranks that run now, and hear notices."""
        self.running.at_work(ranks)


@frozen
class _Fitting:
    """One node's way to where the others are. All of it can be done again."""

    crew: Crew
    number: int
    node: Node
    leave: asyncio.Event

    async def run(self) -> Fit:
        """What it came to; nothing is wrong with one that is left."""
        house, request, node = self.crew.house, self.crew.request, self.node
        say = self.crew.running.logbook.note
        await self._unless_left(fanout.run(house.pool, inside(node), "exit 0", timeout_s=_PATIENCE_S))
        self.crew.running.look_again()
        if house.cluster.isolation == "machine":
            problems = await self._unless_left(booting.wait(house.pool, [node], say))
            if problems:
                return Fit(str(problems[node.id]))
        if request.manifests:
            await self._unless_left(house.spread(request, [node], say, lambda progress: None))
        if request.buckets and (problems := await self._unless_left(house.attach(request, [node], say))):
            return Fit(str(problems[node.id]))
        if request.setup is not None and not self.leave.is_set():
            return await self._set_up(request.setup)
        return Fit()

    async def _set_up(self, setup: Scripts) -> Fit:
        """Run setup on this node alone, if it has not run there in this form."""
        house, running, node = self.crew.house, self.crew.running, self.node
        group = [node if each.id == node.id else each for each in running.group]
        about = (house, self.crew.request, setup, group, house.cluster)
        parts = await setups.setup_parts(*about)
        if sameness.difference(house.table.setup_key(node.id, node.life), parts) is None:
            return Fit()
        house.table.set_setup_key(node.id, node.life, "")
        life = self.crew.life(node)
        running.write(bases=self.crew.bases(f"setup-{node.rank}{life}", SETUP + node.rank))
        rank, spec = running.setup_seat(setup, node, group, life)
        ended = await gang.run([rank], [spec], self.leave, running.logbook, patience_s=_PATIENCE_S)
        end = ended.ends[0]
        if end.code != 0:
            self.crew.tried(node)
            return Fit(end.reason if end.code < 0 else f"its setup exited with code {end.code}", again=end.lost)
        await setups.remember(*about, [node], () if await self._stands() else [node.id])
        return Fit()

    async def _stands(self) -> bool:
        """Whether the files are still as they were brought."""
        request = self.crew.request
        return not request.manifests or bool(await self.crew.house.standing(request, [self.node]))

    async def _unless_left(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What `work` comes to, or nothing where the job ends meanwhile."""
        working, leaving = asyncio.create_task(work), asyncio.create_task(self.leave.wait())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            working.cancel()
            leaving.cancel()
