"""Jobs that come and go while faults happen: of known kinds, with numbered lines, each run by a client of its own."""

from __future__ import annotations

import random
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import BinaryIO

from attrs import define, frozen
from user import User

SUBMITTED = re.compile(rb"^job (\d+) \((soak-\d+)\) submitted", re.MULTILINE)

STEADY = """\
for ((i = 0; i < {lines}; i++)); do echo "line $i"; sleep {pause}; done
echo "the end $SKYPILOT_NODE_RANK"
"""
CHATTY = """\
seq -f "line %.0f" 0 {last}
echo "the end $SKYPILOT_NODE_RANK"
"""
FAILING = """\
for ((i = 0; i < 10; i++)); do echo "line $i"; sleep 0.05; done
if [ "$SKYPILOT_NODE_RANK" = 1 ]; then exit {code}; fi
sleep 300
"""


@frozen
class Kind:
    """A kind of job: how many nodes it takes, what it runs, and the exit code it has if nothing goes wrong."""

    name: str
    nodes: int
    run: str
    lines: int
    code: int = 0
    setup: str = ""

    def text(self) -> str:
        """The task file."""
        run = "".join(f"  {line}\n" for line in self.run.splitlines())
        setup = f"setup: |\n  {self.setup}\n" if self.setup else ""
        return f"num_nodes: {self.nodes}\n{setup}run: |\n{run}"


def any_kind(dice: random.Random, number: int, nodes: int) -> Kind:
    """One of the kinds, of a length that is drawn too; `number` makes its setup differ from all others."""

    def steady(name: str, count: int, lines: int, pause: float, setup: str = "") -> Kind:
        return Kind(name, min(nodes, count), STEADY.format(lines=lines, pause=pause), lines, setup=setup)

    many = dice.randrange(20_000, 200_000)
    code = dice.randrange(3, 120)
    kinds = (
        steady("quick", 1, 3, 0),
        steady("pair", 2, dice.randrange(20, 120), 0.1),
        steady("all", 4, dice.randrange(10, 60), 0.1),
        steady("sleeping", 1, 2, dice.uniform(2, 6)),
        steady("setup", 2, 10, 0.1, setup=f"echo setting up {number}; sleep 0.3"),
        Kind("chatty", 1, CHATTY.format(last=many - 1), many),
        Kind("failing", 2, FAILING.format(code=code), 10, code),
    )
    return dice.choice(kinds)


@define
class Submission:
    """One job that was asked for, and what became of its client."""

    name: str
    kind: Kind
    client: subprocess.Popen[bytes]
    output: Path
    began: float
    ended: float = 0.0
    killed: bool = False
    second: Path | None = None
    second_code: int | None = None

    @property
    def job_id(self) -> int | None:
        """The id that the keeper gave, as far as the client heard of it."""
        found = SUBMITTED.search(self.output.read_bytes())
        return int(found[1]) if found else None


class Load:
    """Keeps up to `at_once` clients at work, each with a job drawn by `seed`, until it is stopped."""

    def __init__(self, person: User, folder: Path, seed: int, nodes: int, at_once: int) -> None:
        self.submissions: list[Submission] = []
        self._person = person
        self._folder = folder
        self._dice = random.Random(seed)
        self._nodes = nodes
        self._at_once = at_once
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._seconds: list[threading.Thread] = []

    def start(self) -> None:
        """Begin."""
        self._folder.mkdir(parents=True)
        self._thread.start()

    def stop(self, patience_s: float) -> None:
        """No more jobs; wait for the clients that are at work. Those left after `patience_s` are killed."""
        self._stopped.set()
        self._thread.join()
        deadline = time.monotonic() + patience_s
        while self.living() and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.1)
        for left in self.living():
            left.client.kill()
            left.client.wait()
        for thread in self._seconds:
            thread.join(max(1.0, deadline - time.monotonic()))

    def living(self) -> list[Submission]:
        """Whose client is at work."""
        return [each for each in self.submissions if each.client.poll() is None]

    def _go_on(self) -> None:
        while not self._stopped.wait(0.1):
            self._reap()
            if len(self.living()) < self._at_once:
                self._submit()

    def _reap(self) -> None:
        for each in self.submissions:
            if not each.ended and each.client.poll() is not None:
                each.ended = time.time()

    def _submit(self) -> None:
        number = len(self.submissions)
        kind = any_kind(self._dice, number, self._nodes)
        task, output = self._folder / f"{number}.yaml", self._folder / f"{number}.out"
        task.write_text(kind.text())
        more = ("--infra", "local") if kind.setup else ()
        words = ("launch" if kind.setup else "exec", str(task), "-c", self._person.stack, "-n", f"soak-{number}", *more)
        with output.open("wb") as out:
            client = self._client(out, *words, "-y")
        made = Submission(f"soak-{number}", kind, client, output, time.time())
        self.submissions.append(made)
        if self._dice.random() < 0.15:
            self._seconds.append(threading.Thread(target=self._follow_too, args=(made,), daemon=True))
            self._seconds[-1].start()

    def _client(self, out: BinaryIO, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._person.command(*words),
            cwd=self._person.clone,
            env=self._person.env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )

    def _follow_too(self, made: Submission) -> None:
        """A second client that follows the same job."""
        while made.job_id is None:
            if made.client.poll() is not None:
                return
            time.sleep(0.1)
        second = made.output.with_suffix(".second")
        with second.open("wb") as out:
            client = self._client(out, "logs", "-c", self._person.stack, "-j", str(made.job_id))
        made.second_code = client.wait(timeout=120)
        made.second = second
