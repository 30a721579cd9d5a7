"""A world of one managed job without machines: a cluster that loses nodes, a keeper that runs attempts, a controller
that is killed, and children whose work fails or is cut off at any point."""

from __future__ import annotations

from attrs import define, evolve, field

from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.control.jobs.decide import decide, what
from skyrig.control.jobs.known import Act, Action, Known, Tried
from skyrig.control.look import Look
from skyrig.jobs.spec import ManagedSpec, RecoverySpec
from skyrig.jobs.state import ManagedJob, ManagedStatus, TaskState
from skyrig.launch.job import Cause, JobRecord, JobStatus
from skyrig.launch.sight import Sight


def new_job(tasks: int = 1, nodes: int = 2) -> ManagedJob:
    """A job that has just been entered."""
    states = tuple(TaskState(index, f"t{index}", f"id-{index}", f"t{index}-7", nodes) for index in range(tasks))
    return ManagedJob(7, "t", states, 0.0)


def record(key: str, status: JobStatus = JobStatus.RUNNING, number: int = 1, **more: object) -> JobRecord:
    """A keeper's record of an attempt."""
    fresh = JobRecord(number, f"u{number}", "t", status, 2, 0.0, nodes=("n0", "n1"), key=key)
    return evolve(fresh, **more)


def cluster(incarnations: dict[str, int], name: str = "t0-7", region: str = "") -> ClusterDescription:
    """A cluster whose nodes are of these incarnations."""
    nodes = tuple(
        Node(each, rank, "h", 22, "10.0.0.1", "u", "k", f"{each}.{number}")
        for rank, (each, number) in enumerate(incarnations.items())
    )
    return ClusterDescription(name, "local", nodes, SshAccess("k", "p"), "", region=region)


@define
class World:
    """The world. `jobs` are the attempts that keepers ever took, by key, with whether they are at work."""

    spec: ManagedSpec
    job: ManagedJob
    now: float = 1000.0
    gone: bool = False
    past: bool = False
    nodes: dict[str, int] | None = None
    powers: dict[str, str] = field(factory=dict)
    config: str = "up"
    keeper: dict[str, JobRecord] = field(factory=dict)
    told: str = ""
    head: str = ""
    tried: Tried | None = None
    cleared: int = 0
    made: int = 0
    begun: list[str] = field(factory=list)
    hears: bool = True
    last: Action | None = None

    @property
    def live(self) -> list[str]:
        """Keys of attempts that are at work."""
        return [key for key, each in self.keeper.items() if not each.status.ended]

    def known(self) -> Known:
        """What the controller finds."""
        head_up = self.nodes is not None and self.powers.get("n0") == "up"
        hears = self.hears and head_up and self.told == self.job.current.key(self.job.id)
        look = Look(
            cluster(self.nodes) if self.nodes is not None else None, ("n0", "n1"), self.config, dict(self.powers)
        )
        sight = Sight(self.keeper.get(self.job.current.key(self.job.id))) if hears else None
        return Known(
            self.job, self.spec, self.now, self.gone, look, sight, 0.0 if hears else 1.0, self.told, self.head,
            self.tried, self.cleared,
        )  # fmt: skip

    def turn(self, outcome: str = "well") -> Action:
        """One turn of the controller's care, whose child goes `well`, fails (`refused`, `failed`), or is cut off
        `before` or `after` it has done its work, without a trace in the table."""
        self.now += 1.0
        known = self.known()
        found = decide(known)
        before, self.job, self.last = self.job, found.job, found.action
        if (before.current.index, before.current.attempt) != (found.job.current.index, found.job.current.attempt):
            self.tried = None
            if found.job.current.attempt > 1:
                return Action(Act.NOTHING)  # all is looked at again before anything is done
        act = found.action.act
        if act is Act.PAST:
            self.past = True
        elif act is not Act.NOTHING:
            self._work(found.action, outcome)
        return found.action

    def lose(self, node: str) -> None:
        """A node is killed."""
        if self.nodes is None or node not in self.nodes:
            return
        self.powers[node] = "gone"
        for key in self.live:
            if node == "n0":
                del self.keeper[key]
            else:
                lost = (*self.keeper[key].lost, node)
                self.keeper[key] = evolve(
                    self.keeper[key], status=JobStatus.FAILED, cause=Cause.NODE, lost=lost, exit_code=4
                )

    def end(self, status: JobStatus, code: int) -> None:
        """What is at work ends by itself."""
        for key in self.live:
            cause = Cause.SCRIPT if status is not JobStatus.SUCCEEDED else Cause.NONE
            self.keeper[key] = evolve(self.keeper[key], status=status, exit_code=code, cause=cause, reason=f"{code}")

    def _work(self, action: Action, outcome: str) -> None:
        if outcome == "before":
            return
        if outcome in ("refused", "failed"):
            name, tries = what(action.act, self.job), self.tried.tries + 1 if self.tried else 1
            self.tried = Tried(name, 3 if outcome == "refused" else 5, tries, self.now)
            return
        if action.act in (Act.END, Act.FINISH, Act.NEXT):
            self.nodes, self.keeper, self.powers = None, {}, {}
            self.cleared = len(self.job.tasks) if action.act is not Act.NEXT else self.job.current.index
        else:
            self._bring(action, told=outcome != "after")
        self.tried = None

    def _bring(self, action: Action, *, told: bool) -> None:
        if action.act is Act.MOVE:
            self.nodes, self.keeper, self.powers = None, {}, {}
        there = self.nodes or {}
        fresh = {}
        for each in ("n0", "n1"):
            lost = self.powers.get(each) != "up"
            self.made += lost
            fresh[each] = self.made if lost else there[each]
        if fresh["n0"] != there.get("n0"):
            self.keeper = {}
        self.nodes, self.powers, self.config = fresh, {"n0": "up", "n1": "up"}, "up"
        if action.act is Act.MEND:
            return
        key = self.job.current.key(self.job.id)
        for other in self.live:
            if other != key:
                raise AssertionError(f"{other} is at work while {key} is submitted")
        if key not in self.keeper:
            self.keeper[key] = record(key, number=len(self.begun) + 1)
            self.begun.append(key)
        if told:
            self.told, self.head = key, f"n0.{fresh['n0']}"


def ended(job: ManagedJob) -> bool:
    """Whether nothing more becomes of it."""
    return job.status.ended and job.status in ManagedStatus


def how(**words: object) -> ManagedSpec:
    """A job of one task that comes back so."""
    return ManagedSpec((evolve(RecoverySpec(), **words),))
