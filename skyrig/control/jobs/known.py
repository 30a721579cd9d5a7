"""What is known of a managed job at one moment, and what can be done for it, as values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from attrs import field, frozen

from skyrig.control.look import Look
from skyrig.control.ward import END as ENDING
from skyrig.jobs.spec import ManagedSpec, Policy, RecoverySpec
from skyrig.jobs.state import ManagedJob, TaskState
from skyrig.launch.job import JobRecord
from skyrig.launch.sight import Sight

OUT = ("gone", "ended")
"""Powers of machines that will not come back."""


class Act(str, Enum):
    """What can be done: nothing; START (a cluster where none is, with failover, and the task's attempt submitted to
    it); REPAIR (lost nodes made anew, their head told, and the attempt submitted); SUBMIT (the attempt submitted to a
    cluster that is whole); MOVE (what is left is taken down, and all of it made elsewhere); MEND (lost nodes made anew
    for a job that goes on without them); SPARE (one node more for each that is about to go); SPARED (such nodes taken
    away again, which nobody needs); NEXT (the cluster of a task that is done taken down, for the next of its pipeline);
    FINISH (the same after the last one); END (the same on the user's wish); PAST (nothing is left: it is written
    down)."""

    __str__ = str.__str__

    NOTHING = "nothing"
    START = "start"
    REPAIR = "repair"
    SUBMIT = "submit"
    MOVE = "move"
    MEND = "mend"
    SPARE = "spare"
    SPARED = "spared"
    NEXT = "next"
    FINISH = "finish"
    END = ENDING
    PAST = "past"


@frozen
class Action:
    """One thing to do, and `why` in one line for people. `nodes` are the ids that are lost, or were not reached at
    `since` (seconds since the epoch); `avoid` is the place where it is not to be made again unless there is no other.
    SPARE: `nodes` are those that go; SPARED: those that do not any more."""

    act: Act
    why: str = ""
    nodes: tuple[str, ...] = ()
    since: float = 0.0
    avoid: str = ""


NOTHING = Action(Act.NOTHING)


@frozen
class Tried:
    """What was done last and went wrong: `what` it was (an act and the attempt that it was for), the exit `code`, how
    many `tries` there were by now, until when it is left alone (seconds since the epoch), and with `never` that no
    waiting helps."""

    what: str
    code: int = 0
    tries: int = 0
    until: float = 0.0
    never: bool = False


@frozen
class Known:
    """All that is known of a job at the moment `now` (seconds since the epoch), beside itself and what it is asked to
    be. `gone`: the user wants it gone. `look` is its cluster (None: not looked at), `sight` what its keeper says of the
    attempt `told`, which the machine `head` took (None: it cannot be heard, for `away_s` seconds by now). Of the tasks
    the clusters of the first `cleared` are gone. `spares` are the nodes that came early, by the one that each is for
    ("": none could be had). `suspects` are the incarnations, by node, of the machines that were there when the attempt
    before was lost. `defect` says why it cannot be read any more what
    is to be run."""

    job: ManagedJob
    spec: ManagedSpec
    now: float
    gone: bool = False
    look: Look | None = None
    sight: Sight | None = None
    away_s: float = 0.0
    told: str = ""
    head: str = ""
    tried: Tried | None = None
    cleared: int = 0
    spares: Mapping[str, str] = field(factory=dict)
    suspects: Mapping[str, str] = field(factory=dict)
    defect: str = ""

    @property
    def record(self) -> JobRecord | None:
        """The keeper's record of the newest attempt; None where it cannot be heard, or has none."""
        record = self.sight.record if self.sight is not None else None
        return record if record is not None and record.key == self.key else None

    @property
    def key(self) -> str:
        """The newest attempt's."""
        return self.job.current.key(self.job.id)

    @property
    def submitted(self) -> bool:
        """Whether a head took the newest attempt."""
        return self.told == self.key or self.record is not None

    @property
    def out(self) -> tuple[str, ...]:
        """Ids of the nodes whose machines will not come back, in rank order."""
        powers = self.look.powers if self.look is not None else {}
        there = self.look.cluster.nodes if self.look is not None and self.look.cluster is not None else ()
        return tuple(node.id for node in there if powers.get(node.id) in OUT)


def recovery(spec: ManagedSpec, task: TaskState) -> RecoverySpec:
    """How a task comes back."""
    return spec.recovery[task.index] if task.index < len(spec.recovery) else RecoverySpec()


def least(how: RecoverySpec, task: TaskState) -> int:
    """How many nodes a task needs to go on; 0 where it needs all."""
    if how.policy is not Policy.REPLACE_NODE or task.num_nodes < 2:
        return 0
    return how.min_nodes or task.num_nodes - 1
