"""What goes on with a job until it runs, as steps: its turn in the queue, files on their way, setup on each node."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve

from skyrig.launch.job import JobRecord, JobStatus
from skyrig.launch.lines import NOTE, SETUP
from skyrig.progress import Kind, Step, tell


class Prelude:
    """Shows a follower's job through `notify` before it runs, and nothing once it does. A keeper tells how
    far the files are and which nodes are still in setup; with one that is too old for that, lines from nodes tell."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._cluster: Sequence[str] = ()
        self._told = False
        self._steps: dict[tuple[Kind, str], Step] = {}

    def advance(self, record: JobRecord) -> None:
        """The job is in a new state."""
        job, self._cluster = f"job {record.id}", record.cluster
        if record.status is JobStatus.PENDING:
            goes_to = f"starts on {', '.join(record.nodes)}" if record.nodes else ""
            self._only(Step(Kind.WAIT, job, goes_to or record.reason or "waits for its turn"))
        elif record.status is not JobStatus.SETTING_UP:
            self._only()
        elif not any(kind is Kind.SETUP for kind, _ in self._steps):
            self._only(Step(Kind.SETUP, job, "setup begins"))

    def now(self, setup: Sequence[str], files: Sequence[int] | None) -> None:
        """The keeper's word: setup runs on these nodes; so many bytes of so many were brought to all but the head."""
        self._told = True
        sent = [Step(Kind.SYNC, "files to the other nodes", done=files[0], total=files[1])] if files else []
        self._only(*(self._known(node) for node in setup), *sent)

    def line(self, rank: int, text: bytes) -> None:
        """A line of the job's log: the newest one of a node's setup says how far that is."""
        if not SETUP <= rank < NOTE or rank - SETUP >= len(self._cluster):
            return
        known = self._known(self._cluster[rank - SETUP])
        if known.name in self._steps or (self._steps and not self._told):
            self._show(evolve(known, detail=text.decode(errors="replace")))

    def close(self) -> None:
        """The job is not followed any more."""
        self._only()

    def _known(self, node: str) -> Step:
        """The setup of a node as it was last shown, or a new one."""
        fresh = Step(Kind.SETUP, f"setup on {node}")
        return self._steps.get(fresh.name, fresh)

    def _only(self, *steps: Step) -> None:
        """Show these, and no others."""
        for step in steps:
            self._show(step)
        staying = {step.name for step in steps}
        for name in [name for name in self._steps if name not in staying]:
            tell(self._notify, evolve(self._steps.pop(name), ended=True))

    def _show(self, step: Step) -> None:
        self._steps[step.name] = step
        tell(self._notify, step)
