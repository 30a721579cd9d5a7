"""The steward at work: looks, decides, writes that down, and does what follows from it, again and again.

Nothing in its round waits for another machine: jobs are begun and ended, and probes made, beside it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import secrets
import time
from collections.abc import Collection, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import evolve

from skyrig.cluster.description import ClusterDescription, Node, from_json
from skyrig.errors import BadInput, SkyrigError
from skyrig.fleet.deadline import timeout
from skyrig.launch import at_boot
from skyrig.launch.job import JobRequest, JobStatus
from skyrig.launch.protocol import KeeperGone
from skyrig.serve.metrics import engines
from skyrig.serve.metrics.exposition import Part, merged
from skyrig.serve.spec import Secrets, ServiceSpec
from skyrig.serve.state import Snapshot
from skyrig.serve.steward import jobs, metrics, reach, rollout, versions
from skyrig.serve.steward.decide import step
from skyrig.serve.steward.entrance import Entry
from skyrig.serve.steward.memory import Disk, Held, Memory, write
from skyrig.serve.steward.probes import Aim, Prober
from skyrig.serve.steward.reach import Reach
from skyrig.serve.steward.tell import snapshot
from skyrig.serve.steward.vault import Vault
from skyrig.serve.steward.world import World

ROUND_S = 1.0
"""How often it looks where nothing wakes it."""

_BREATH_S = 0.05
"""Least pause between two rounds."""

_AGAIN_S = 1.0
"""Pause before what could not be done is tried again."""

_ENDS_ITSELF = {"idle_s": 600.0, "down": True, "wait_for": "jobs_and_ssh"}
"""Autostop of a cluster whose service has failed for good, in case nobody takes it down."""


class Steward:
    """One per head; `home` is ~/.skyrig. `memory` is None while no service is applied. `watching` are connections of
    those who can make nodes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = logging.getLogger("steward")
        self.folder = home / "steward"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.watching: set[object] = set()
        self.told: Snapshot | None = None
        self._wake, self._news = asyncio.Event(), asyncio.Event()
        self._disk = Disk(self.folder)
        self.memory = self._disk.load()
        self.cluster = self._load_cluster()
        self._jobs = jobs.KeptJobs(home, self.wake)
        self._prober = Prober(self.wake)
        self._reach = Reach(home, self.memory.lost if self.memory else (), self.wake)
        self._entry = Entry(self.folder, self.wake)
        self._engines = engines.Engines()
        self._refused: dict[int, str] = {}
        self._doing: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._trouble = ""
        self._applying = asyncio.Lock()

    # -- what the door asks for

    async def apply(self, spec: ServiceSpec, request: JobRequest, secret: Secrets, cluster: dict[str, Any]) -> int:
        """Have `spec` be the service; the version that it is. BadInput where another service is here, SkyrigError where
        this one is going down or the endpoint cannot be."""
        if self.memory is not None and self.memory.name != spec.name:
            raise BadInput(f"{self.memory.name} is served here", hint="each service has a cluster of its own")
        if self.memory is not None and self.memory.stopping:
            raise SkyrigError(f"service {spec.name} is going down", hint="run the same command again in a moment")
        async with self._applying:
            return await self._applied(spec, request, secret, cluster)

    async def _applied(self, spec: ServiceSpec, request: JobRequest, secret: Secrets, cluster: dict[str, Any]) -> int:
        self.describe(cluster)
        digest, body = self._vault.digests(spec, request, secret)
        if self.memory is not None and versions.is_same(self.memory, digest):
            if not self._vault.has(self.memory.target):
                self._vault.put(self.memory.target, request, secret)
            self.wake()
            return self.memory.target
        served = await self._entry.possible(spec, may_install=self._isolation == "machine")
        was_failed = self.memory is not None and bool(self.memory.failed)
        uid, now = secrets.token_hex(6), time.time()
        memory = versions.applied(self.memory, served, digest=digest, body=body, uid=uid, now=now)
        self._vault.put(memory.target, request, secret)
        self._know(memory)
        at_boot.want(self.home)
        if was_failed and spec.alone:
            self._once("autostop", 0, self._autostop(None))
        return memory.target

    def describe(self, cluster: dict[str, Any]) -> None:
        """Take the cluster's description: its nodes are these now."""
        described = from_json(cluster)
        write(self.folder / "cluster.json", json.dumps(described.public().to_json()))
        self.cluster = described.public()
        self.wake()

    def replace(self, replica_id: int) -> None:
        """End a replica; another one comes. BadInput where it is not there."""
        held = self.memory.replica(replica_id) if self.memory else None
        if self.memory is None or held is None or not held.live:
            raise BadInput(f"there is no replica {replica_id}", hint="`serve.status` lists them")
        self._know(rollout.without(self.memory, [held], time.time()))

    async def stop(self) -> None:
        """End the service: requests that run are answered, all replicas end, nothing is left of it here."""
        if self.memory is not None:
            self._know(evolve(self.memory, stopping=True))
        while self.memory is not None:
            await self.news()

    async def metrics(self) -> str:
        """Prometheus text of the steward, the balancer and the engines; "" where nothing is served."""
        if self.told is None:
            return ""
        service = {"service": self.told.name}
        parts = [Part(metrics.text(self.told)), Part(await self._entry.metrics(), service)]
        parts += [evolve(part, labels={**service, **part.labels}) for part in self._engines.parts()]
        return await asyncio.to_thread(merged, parts)

    async def snapshot(self) -> Snapshot | None:
        """What is known of the service; None where none is applied. One that has just started looks first."""
        while self.memory is not None and self.told is None:
            await self.news()
        return self.told

    def wake(self) -> None:
        """Something changed: look at once."""
        self._wake.set()

    async def news(self) -> None:
        """Wait until something else is told than now."""
        await self._news.wait()

    # -- the round

    async def run(self) -> None:
        """Without end."""
        looking = asyncio.create_task(self._jobs.look_on())
        while not looking.done():
            self._wake.clear()
            try:
                await self._round()
            except Exception:  # replicas and requests must not end of a defect here, nor of a full disk
                self.log.exception("round")
                await asyncio.sleep(_AGAIN_S)
            await asyncio.sleep(_BREATH_S)
            with suppress(asyncio.TimeoutError):
                async with timeout(ROUND_S - _BREATH_S):
                    await self._wake.wait()
        looking.result()

    async def _round(self) -> None:
        if self.memory is None or self.cluster is None:
            return
        self._mind(self.memory)
        await self._entry.measure(self.memory.spec)
        memory, world = self.memory, self._world(self.cluster, self.memory)
        self._know(self._with_lines(memory, step(memory, world)))
        if self.memory.stopping and all(held.freed for held in self.memory.replicas):
            await self._forget()
            return
        self._begin_and_end(self.memory)
        await self._entry.be(self.memory, self._addresses(self.memory), self._vault)
        self._tell(self._world(self.cluster, self.memory))

    def _know(self, memory: Memory) -> None:
        """Know it, which is only so once it is on disk."""
        self._disk.save(memory)
        if self.memory is None or memory.versions != self.memory.versions:
            self._vault.keep(
                {memory.target, memory.previous, *(held.version for held in memory.replicas if not held.freed)}
            )
        if memory != self.memory:
            self.memory = memory
            self.wake()

    def _world(self, cluster: ClusterDescription, memory: Memory) -> World:
        unknown = dict.fromkeys(self._jobs.unknown, "the keeper knows nothing of its job")
        return World(
            now=time.time(),
            nodes=tuple(self._reach.machine(node.id) for node in cluster.nodes),
            jobs=self._jobs.known,
            refused={**unknown, **self._refused},
            answers=dict(self._prober.answers),
            flights=self._entry.flights(memory),
            need=self._entry.need(memory.spec),
            watched=bool(self.watching),
        )

    def _mind(self, memory: Memory) -> None:
        """Have looked at what matters now."""
        assert self.cluster is not None
        nodes = {node.id: node for node in self.cluster.nodes}
        self._jobs.mind({held.id: held.job for held in memory.replicas if held.job and not held.freed})
        self._refused = {key: why for key, why in self._refused.items() if memory.replica(key)}
        known = self._jobs.known or {}
        aims = {
            held.id: Aim(nodes[held.nodes[0]].address, held.port, memory.version(held.version).spec.probe)
            for held in memory.replicas
            if held.live and held.port and held.job and held.nodes[0] in nodes
            if held.id not in known or known[held.id].status is JobStatus.RUNNING
        }
        self._prober.mind(aims)
        serving = {held.id for held in rollout.serving(memory)}
        paths = {held.id: memory.version(held.version).spec.metrics_path for held in memory.replicas}
        told = {key: engines.Aim(aim.host, aim.port, paths[key]) for key, aim in aims.items() if key in serving}
        self._engines.mind({key: aim for key, aim in told.items() if aim.path})
        suspects = reach.suspects(memory, time.time()) | self._reach.lost
        self._reach.mind([node for node in self.cluster.nodes if node.id in suspects], nodes)

    def _begin_and_end(self, memory: Memory) -> None:
        """Have the jobs of replicas begun that shall be, and those ended that shall not."""
        for held in memory.replicas:
            if held.placed and not held.job and held.id not in self._refused:
                self._once("begin", held.id, self._begin(held.id))
            elif held.cut and held.job and not held.freed:
                self._once("end", held.id, self._end(held))
        if memory.failed and memory.spec.alone and not memory.stopping:
            self._once("autostop", 0, self._autostop(_ENDS_ITSELF))

    def _tell(self, world: World) -> None:
        assert self.memory is not None
        addresses = self._addresses(self.memory)
        front = self._entry.front(self.memory, self._engines.tokens_per_s())
        told = snapshot(self.memory, world, front, addresses, self._trouble)
        self._say(evolve(told, forgot=not self._vault.has(self.memory.target)))

    def _say(self, told: Snapshot | None) -> None:
        before, self.told = self.told, told
        if before is None or told is None or evolve(before, at=told.at) != told:
            self._news.set()
            self._news = asyncio.Event()

    # -- what is done beside the round

    def _once(self, what: str, number: int, doing: Coroutine[Any, Any, None]) -> None:
        """Do it, unless it is being done."""
        running = self._doing.get((what, number))
        if running is not None and not running.done():
            doing.close()
            return
        self._doing = {key: task for key, task in self._doing.items() if not task.done()}
        self._doing[what, number] = asyncio.create_task(self._safely(doing))

    async def _safely(self, doing: Coroutine[Any, Any, None]) -> None:
        try:
            await doing
            self._trouble = ""
        except KeeperGone:
            await asyncio.sleep(_AGAIN_S)  # the next round does it again
        except SkyrigError as error:
            self._trouble = error.message
            await asyncio.sleep(_AGAIN_S)
        except Exception:  # a defect with one replica must not keep the others from being cared for
            self.log.exception("orders")
            await asyncio.sleep(_AGAIN_S)
        self.wake()

    async def _begin(self, replica_id: int) -> None:
        """Choose a replica's port, and submit its job. Killed anywhere in between, the next steward does the same, and
        gets the same job."""
        held = self._held(replica_id)
        made = self._vault.get(held.version)
        if made is None:
            raise SkyrigError("the head was started anew: its memory held what replicas are made of")
        if not held.port:
            port = self._port(held)
            self._know(self._memory().with_replica(replica_id, lambda each: evolve(each, port=port)))
            held = self._held(replica_id)
        memory = self._memory()
        each = memory.version(held.version).spec.nodes_each
        try:
            record = await self._jobs.submit(held, made[0], uid=memory.uid, nodes_each=each)
        except BadInput as refusal:
            self._refused[replica_id] = str(refusal)
            return
        self._know(self._memory().with_replica(replica_id, lambda each: evolve(each, job=record.id)))

    async def _end(self, held: Held) -> None:
        await self._jobs.end(held.job, held.reason or f"replica {held.id} is not wanted any more")

    async def _autostop(self, setting: dict[str, Any] | None) -> None:
        """Set, or cancel, what ends the cluster of a service that failed; once."""
        assert self.cluster is not None
        mark = self.folder / "autostop-set"
        if (setting is not None) is mark.exists():
            return
        try:
            await self._jobs.ask({"op": "autostop", "setting": setting})
        except BadInput as error:  # its nodes cannot end themselves, which nothing here changes
            self.log.warning("%s", error)
        write(mark, "") if setting is not None else mark.unlink(missing_ok=True)

    async def _forget(self) -> None:
        await self._entry.stop()
        self._prober.mind({})
        self._engines.mind({})
        self._reach.mind((), ())
        self._vault.forget()
        for name in ("cluster.json", "autostop-set"):
            (self.folder / name).unlink(missing_ok=True)
        self._disk.forget()
        self.memory = None
        self._say(None)

    # -- small questions

    @property
    def _vault(self) -> Vault:
        return Vault(self.folder, own_tmpfs=self._isolation != "plain")

    @property
    def _isolation(self) -> str:
        return self.cluster.isolation if self.cluster is not None else "machine"

    def _memory(self) -> Memory:
        if self.memory is None:
            raise SkyrigError("the service is gone")
        return self.memory

    def _held(self, replica_id: int) -> Held:
        held = self._memory().replica(replica_id)
        if held is None:
            raise SkyrigError(f"replica {replica_id} is gone")
        return held

    def _port(self, held: Held) -> int:
        memory, cluster = self._memory(), self.cluster
        if cluster is None or not jobs.share_an_address(cluster):
            return memory.version(held.version).spec.port
        taken = [each.port for each in memory.replicas if each.placed]
        return jobs.free_port([*taken, memory.spec.entrance.port])

    def _addresses(self, memory: Memory) -> Mapping[int, str]:
        """HOST:PORT of replicas, by id."""
        nodes: dict[str, Node] = {node.id: node for node in self.cluster.nodes} if self.cluster else {}
        return {
            held.id: jobs.address(nodes[held.nodes[0]], held.port)
            for held in memory.replicas
            if held.nodes and held.port and held.nodes[0] in nodes
        }

    def _with_lines(self, before: Memory, after: Memory) -> Memory:
        """`after` with what replicas that failed printed last."""
        was_live: Collection[int] = {held.id for held in before.replicas if held.live}
        for held in after.replicas:
            if held.id in was_live and held.status.ended and not held.last_lines:
                after = after.with_replica(held.id, functools.partial(evolve, last_lines=self._jobs.last_lines(held)))
        return after

    def _load_cluster(self) -> ClusterDescription | None:
        try:
            return from_json(json.loads((self.folder / "cluster.json").read_text()))
        except FileNotFoundError:
            return None
