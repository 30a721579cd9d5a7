"""The endpoint: what the balancer is told, and what it says of the load."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import evolve

from skyrig.errors import BadInput, SkyrigError
from skyrig.serve.balancer import low_ports
from skyrig.serve.balancer.balancer import Balancer
from skyrig.serve.balancer.frontage import Frontage, Server, ServerState
from skyrig.serve.balancer.measure import Measured
from skyrig.serve.spec import ServiceSpec, Tls
from skyrig.serve.state import Load, ReplicaStatus
from skyrig.serve.steward import rollout
from skyrig.serve.steward.certified import Certified
from skyrig.serve.steward.memory import Memory
from skyrig.serve.steward.scaling import need
from skyrig.serve.steward.tell import Front
from skyrig.serve.steward.vault import Vault

LEAST_SEEN = 0.5
"""Part of the window that must have been seen before the load says anything."""


def servers(memory: Memory, addresses: Mapping[int, str]) -> tuple[Server, ...]:
    """The replicas that are behind the endpoint: those that serve, and those whose last answers are waited for."""
    serving = {held.id for held in rollout.serving(memory)}
    calm = (ReplicaStatus.NOT_READY, ReplicaStatus.SHUTTING_DOWN)
    last = {held.id for held in memory.replicas if held.status in calm and held.ready_at and not held.cut}
    return tuple(
        Server(name(replica_id), addresses[replica_id], state)
        for ids, state in ((serving, ServerState.READY), (last, ServerState.DRAIN))
        for replica_id in sorted(ids)
        if replica_id in addresses
    )


def name(replica_id: int) -> str:
    """What the balancer calls a replica."""
    return f"r{replica_id}"


class Entry:
    """One per steward."""

    def __init__(self, folder: Path, changed: Callable[[], None]) -> None:
        self._balancer = Balancer(folder / "balancer")
        self._certified = Certified(folder / "certificates", changed)
        self._measured: Measured | None = None
        self._flights: dict[int, int] = {}
        self._since = 0.0
        self._problem = ""
        self._open = False

    async def possible(self, spec: ServiceSpec, *, may_install: bool) -> ServiceSpec:
        """`spec` with the endpoint as it can be here: without HAProxy, where that cannot be had, direct. SkyrigError
        where a balancer is a must."""
        if spec.entrance.direct or self._balancer.available():
            return spec
        missing = SkyrigError("HAProxy is not there", hint="install it on the head: `apt install haproxy`")
        if may_install:
            try:
                await self._balancer.install()
                return spec
            except SkyrigError as problem:
                missing = problem
        guarded = spec.entrance.keys or spec.entrance.tls is not Tls.NONE
        if spec.scaling.most > 1 or guarded or spec.entrance.max_body or spec.entrance.rate:
            raise missing
        return evolve(spec, entrance=evolve(spec.entrance, direct=True))

    async def be(self, memory: Memory, addresses: Mapping[int, str], vault: Vault) -> None:
        """Have the balancer be what `memory` says."""
        if memory.spec.entrance.direct:
            return
        made = vault.get(memory.target)
        try:
            pem = made[1].pem if made is not None else ""
            frontage = Frontage(memory.spec.entrance, servers(memory, addresses), pem)
            await low_ports.allow(frontage.entrance.port)
            asked = self._certified.over(frontage)
            await self._balancer.be(asked)
            self._certified.routed()
            self._problem, self._open = "", asked.is_open
        except (SkyrigError, BadInput) as problem:
            self._problem = str(problem)
        draining = [held.id for held in memory.replicas if held.drain_at and not held.cut]
        self._flights = {replica_id: await self._balancer.in_flight(name(replica_id)) for replica_id in draining}

    async def measure(self, spec: ServiceSpec) -> None:
        """Look at the load."""
        if spec.entrance.direct:
            self._measured, self._since = None, 0.0
            return
        self._since = self._since or time.monotonic()
        self._measured = await self._balancer.measure(spec.scaling.window_s)

    def need(self, spec: ServiceSpec) -> float | None:
        """The load in replicas; None where it is not known."""
        if self._measured is None or time.monotonic() - self._since < spec.scaling.window_s * LEAST_SEEN:
            return None
        return need(self._measured.total.qps, self._measured.busy, spec.scaling)

    def flights(self, memory: Memory) -> Mapping[int, int] | None:
        """Requests in flight of replicas that shut down, by id; None where that is not known yet."""
        if memory.spec.entrance.direct:
            return {}
        asked = {held.id for held in memory.replicas if held.drain_at and not held.cut}
        return self._flights if asked <= self._flights.keys() else None

    def front(self, memory: Memory, tokens: Mapping[int, float]) -> Front:
        """What is told of it; `tokens` are those of a second, by replica."""
        total = evolve(
            self._measured.total if self._measured else Load(), tokens_per_s=sum(tokens.values()) if tokens else None
        )
        loads = {}
        for held in memory.replicas:
            load = self._measured.servers.get(name(held.id)) if self._measured else None
            if load is not None or held.id in tokens:
                loads[held.id] = evolve(load or Load(), tokens_per_s=tokens.get(held.id))
        closed = not (self._open or memory.spec.entrance.direct)
        return Front(total, loads, self._problem or self._certified.trouble, closed)

    async def metrics(self) -> str:
        """The balancer's own metrics in Prometheus's text form; "" where there are none."""
        return await self._balancer.metrics()

    async def stop(self) -> None:
        """The endpoint is no more."""
        self._certified.stop()
        await self._balancer.stop()
        self._measured, self._flights, self._problem, self._open = None, {}, "", False
