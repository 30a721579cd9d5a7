"""A node of a training dies: how long until the next step. Beside Skyrig's ways (the lost node made anew, and the job
started again from its checkpoint; or the job going on without it meanwhile) the whole cluster is taken down and made
again, which is what SkyPilot does.

All three train the shipped example on the local cloud, from the same kind of bucket, on the same machine, one after the
other in each round. The rebuild is told at once that the node is gone; SkyPilot's controller asks every 15 s.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.cluster import cluster
from bench.figures import Figures, Say

_EXAMPLE = Path(__file__).parents[1] / "examples" / "mingpt"
_INVOKE = str(Path(sys.prefix) / "bin" / "invoke")
_STEP = re.compile(rb"\) step (\d+)/")
_WARM = 12
"""The node dies once so many steps are made."""

_LIMIT_S = 400.0
MOST_NODES = 8
"""Nodes beyond this are no measure of anything on one machine."""

_WORDS = "--text 200000 --batch 2 --log-every 1 --steps 1000000 --save-every 5"
_USUAL = '--nnodes "$SKYPILOT_NUM_NODES" --node-rank "$SKYPILOT_NODE_RANK"'
_MASTER = '--master-addr "$(echo "$SKYPILOT_NODE_IPS" | head -n1)" --master-port "${MASTER_PORT:-29500}"'
_REBUILD, _RESTART, _REPLACE = "rebuild all", "replace and restart", "go on meanwhile"


def measure(sizes: Sequence[int], rounds: int, say: Say) -> list[Figures]:
    """The figures, one table for each number of nodes."""
    found = []
    for nodes in sizes:
        figures = Figures(f"Seconds from a node's death to the next training step, {nodes} nodes", _REBUILD)
        with cluster(say):
            for number in range(rounds):
                say(f"recovery: {nodes} nodes, round {number + 1}")
                folder = Path(os.environ["SKYRIG_HOME"]).parent
                figures.add(_REBUILD, _rebuilt(_file(folder, nodes, f"a{number}"), f"whole{number}"))
                figures.add(_RESTART, _managed(_file(folder, nodes, f"b{number}")))
                figures.add(_REPLACE, _managed(_file(folder, nodes, f"c{number}", elastic=True)))
        figures.notes.append("the rebuild learns of the death at once; what asks every 15 s learns of it 7.5 s later")
        found.append(figures)
    return found


def _file(folder: Path, nodes: int, mark: str, *, elastic: bool = False) -> Path:
    """The example's task file for spot nodes, at this size, with a bucket of its own."""
    text = (_EXAMPLE / "spot.yaml").read_text()
    changes = {
        "num_nodes: 2": f"num_nodes: {nodes}",
        "workdir: .": f"workdir: {_EXAMPLE}",
        "BUCKET: mingpt-checkpoints": f"BUCKET: recovery-{mark}-{nodes}",
        '"$SKYPILOT_TASK_ID"': "run",  # a cluster that is launched anew has another id
        '--steps "$STEPS" --save-every "$SAVE_EVERY"': _WORDS,
    }
    if elastic:
        changes |= {_USUAL: "", _MASTER: ""}
        text += f"\nconfig:\n  skyrig:\n    recovery: {{policy: replace_node, min_nodes: {nodes - 1}}}\n"
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after, 1)
    file = folder / f"{mark}.yaml"
    file.write_text(text)
    return file


def _managed(file: Path) -> float:
    """One round of a managed job."""
    before = {row["id"] for row in _json("jobs.queue")["jobs"]}
    _run("jobs.launch", str(file), "-d", "-y")
    (job,) = (row for row in _json("jobs.queue")["jobs"] if row["id"] not in before)
    number, stack = str(job["id"]), job["cluster"]
    try:
        with _steps("jobs.logs", "-j", number) as steps:
            steps.reach(_WARM)
            _kill(stack)
            return steps.resumed(time.monotonic())
    finally:
        _run("jobs.cancel", "-j", number, "-y")
        _until(lambda: not _nodes(stack), "its cluster is gone")


def _rebuilt(file: Path, stack: str) -> float:
    """One round of a cluster that is taken down as a whole and made again."""
    _run("launch", str(file), "-c", stack, "-d", "-y")
    try:
        with _steps("logs", "-c", stack) as steps:
            steps.reach(_WARM)
            _kill(stack)
            began = time.monotonic()
        _run("down", "-c", stack, "-y", "--force")
        _run("launch", str(file), "-c", stack, "-d", "-y")
        with _steps("logs", "-c", stack) as steps:
            return steps.resumed(began)
    finally:
        _run("down", "-c", stack, "-y", "--force")


def _kill(stack: str) -> None:
    """Kill the last node of a cluster."""
    pids = _nodes(stack)
    os.kill(pids[max(pids)], signal.SIGKILL)


def _nodes(stack: str) -> dict[str, int]:
    """Pids of the nodes of a cluster that are up, by name."""
    rows: list[Mapping[str, Any]] = _json("local.ls")["nodes"]
    return {row["name"]: row["pid"] for row in rows if row["cluster"] == stack and row["status"] == "UP"}


def _run(*words: str) -> bytes:
    """One command to its end."""
    done = subprocess.run([_INVOKE, *words], capture_output=True, timeout=_LIMIT_S, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}\n{done.stderr.decode(errors='replace')}"
    return done.stdout


def _json(*words: str) -> Any:
    return json.loads(_run(*words, "--json"))


def _until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {_LIMIT_S:.0f} s: {what}"
        time.sleep(0.5)


class _Steps:
    """Sees the steps of a training as they come, and when it goes on from a checkpoint."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._steps: list[tuple[float, int]] = []
        self._resumed: list[float] = []
        self._news = threading.Condition()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines: Iterator[bytes]) -> None:
        for line in lines:
            now = time.monotonic()
            with self._news:
                if found := _STEP.search(line):
                    self._steps.append((now, int(found[1])))
                elif b"resuming after step" in line:
                    self._resumed.append(now)
                self._news.notify()

    def _wait(self, met: Callable[[], bool], what: str) -> None:
        with self._news:
            assert self._news.wait_for(met, _LIMIT_S), f"not within {_LIMIT_S:.0f} s: {what}; seen {self._steps[-3:]}"

    def reach(self, step: int) -> None:
        """Wait for a step."""
        self._wait(lambda: any(number >= step for _, number in self._steps), f"step {step}")

    def resumed(self, began: float) -> float:
        """Seconds from the moment `began` until the first step after the training has gone on from a checkpoint."""

        def steps() -> list[float]:
            resumed = [when for when in self._resumed if when > began]
            return [when for when, _ in self._steps if resumed and when >= resumed[0]]

        self._wait(lambda: bool(steps()), "a step after the fault")
        return steps()[0] - began


@contextmanager
def _steps(*words: str) -> Iterator[_Steps]:
    """Follow a training's output."""
    with subprocess.Popen([_INVOKE, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield _Steps(iter(process.stdout))
        finally:
            process.kill()
