"""A service without machines: jobs, probes and nodes as values, one second at a time, around the real decisions."""

from __future__ import annotations

from attrs import define, evolve, field

from skyrig.launch.job import JobRecord, JobStatus
from skyrig.serve.spec import Entrance, Probe, Scaling, ServiceSpec, Update
from skyrig.serve.state import Wanted
from skyrig.serve.steward import rollout, versions
from skyrig.serve.steward.decide import step
from skyrig.serve.steward.memory import Memory
from skyrig.serve.steward.wanting import wanted
from skyrig.serve.steward.world import Answer, Machine, World

START_S = 3


def spec(replicas: int, each: int = 1, update: Update = Update.ROLLING, direct: bool = False) -> ServiceSpec:
    """A service with quick probes."""
    probe = Probe(initial_delay_s=20, patience_s=10)
    entrance = Entrance(stream_timeout_s=5, direct=direct)
    return ServiceSpec("svc", 80, each, probe, Scaling(replicas, replicas), entrance, update=update)


@define
class Rehearsal:
    """`nodes` are ids, of which `lost` answer no more; `capacity`: somebody makes and takes away what is wanted, which
    takes `makes_s` seconds. `bad` are versions whose replicas end at once, `mute` those that never answer, `sick`
    replicas that do not answer now."""

    nodes: list[str] = field(factory=lambda: ["n0"])
    capacity: bool = True
    makes_s: int = 5
    memory: Memory | None = None
    now: float = 1000.0
    lost: set[str] = field(factory=set)
    bad: set[int] = field(factory=set)
    mute: set[int] = field(factory=set)
    sick: set[int] = field(factory=set)
    jobs: dict[int, JobRecord] = field(factory=dict)
    need: float | None = None
    seen_ids: set[int] = field(factory=set)
    fewest: int = 10**9
    _due: int = 0
    _next_node: int = 1

    def apply(self, what: ServiceSpec, body: str = "") -> None:
        """Have this be the service."""
        digest = f"{what} {body}"
        if not versions.is_same(self.memory, digest):
            made = versions.applied(self.memory, what, digest=digest, body=body or digest, uid="u", now=self.now)
            self.memory = made

    @property
    def known(self) -> Memory:
        """What the steward knows."""
        assert self.memory is not None
        return self.memory

    @property
    def ready(self) -> int:
        """Replicas that get requests."""
        return len(rollout.serving(self.known))

    def asks(self) -> Wanted:
        """What is wanted of the capacity plane."""
        return wanted(self.known, self.world())

    def world(self) -> World:
        """What is seen now."""
        answers = {}
        for held in self.known.replicas:
            job = self.jobs.get(held.id)
            if held.live and job is not None and job.status is JobStatus.RUNNING:
                up = self.now - job.started_at >= START_S and held.version not in self.mute
                good = up and held.id not in self.sick and not self.lost & {*held.nodes}
                answers[held.id] = Answer(good, "" if good else "refused")
        nodes = tuple(Machine(each, each in self.lost) for each in self.nodes)
        return World(self.now, nodes, dict(self.jobs), answers=answers, need=self.need)

    def run(self, seconds: int) -> None:
        """So much time passes."""
        for _ in range(seconds):
            self.tick()

    def tick(self) -> None:
        """One second: what is decided is done, and looked at."""
        self.now += 1
        self.memory = step(self.known, self.world())
        self._check()
        for held in self.known.replicas:
            if held.placed and not held.job:
                self.jobs[held.id] = JobRecord(held.id, "", "", JobStatus.RUNNING, 1, self.now, self.now)
                begun = evolve(held, job=held.id, port=80)
                self.memory = self.known.with_replica(held.id, lambda _, begun=begun: begun)
        for held in self.known.replicas:
            job = self.jobs.get(held.id)
            if held.freed or job is None or job.status.ended:
                continue
            if gone := [each for each in held.nodes if each in self.lost or each not in self.nodes]:
                self.end(held.id, JobStatus.FAILED, f"lost node {gone[0]}: silent", 4)
            elif held.cut:
                self.end(held.id, JobStatus.CANCELLED, "cut", 143)
            elif held.version in self.bad:
                self.end(held.id, JobStatus.FAILED, "rank 0 exited with code 1", 1)
        if self.capacity:
            self._provide()

    def end(self, replica_id: int, status: JobStatus = JobStatus.FAILED, reason: str = "", code: int = 1) -> None:
        """A replica's job ends."""
        job = self.jobs[replica_id]
        self.jobs[replica_id] = evolve(job, status=status, ended_at=self.now, exit_code=code, reason=reason)

    def _provide(self) -> None:
        asks = self.asks()
        due = bool(asks.going or asks.lost or asks.nodes > len(self.nodes)) and not asks.nothing
        self._due = self._due + 1 if due else 0
        if self._due < self.makes_s:
            return
        self._due = 0
        self.lost -= {*asks.lost}
        self.nodes = [each for each in self.nodes if each not in asks.going]
        self.lost &= {*self.nodes}
        while len(self.nodes) < asks.nodes:
            self.nodes.append(f"m{self._next_node}")
            self._next_node += 1

    def _check(self) -> None:
        memory, asks = self.known, self.asks()
        placed = [node for held in memory.replicas if held.placed for node in held.nodes]
        assert len(placed) == len(set(placed)), "two replicas on one node"
        ids = [held.id for held in memory.replicas]
        assert len(ids) == len(set(ids)) and all(each < memory.next_id for each in ids)
        fresh = {*ids} - self.seen_ids
        assert not fresh or min(fresh) > max(self.seen_ids, default=0), "an id is used again"
        self.seen_ids |= fresh
        assert "n0" not in asks.going and not {*asks.going} & {*placed}
        assert not asks.going or len(self.nodes) - len(asks.going) >= asks.nodes
        self.fewest = min(self.fewest, self.ready)
