"""A local cluster for a bench: data folder, stack config and engine state of its own, gone afterwards."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from bench.figures import Say
from skyrig import places, verbs
from skyrig.bringing import Asked, up
from skyrig.cluster.description import ClusterDescription
from skyrig.stack import stacks
from skyrig.storage.local import server
from skyrig.task.model import Task

_ROOT = Path(__file__).parents[1]


@frozen
class Cluster:
    """A stack of any size. While it lives, this process and those that it starts use its data folder."""

    stack: str
    project: Path
    say: Say

    def sized(self, nodes: int) -> ClusterDescription:
        """Bring it to `nodes` nodes, and run one job on all of them, so that keeper and nodes are warm."""
        self.say(f"bringing {nodes} local nodes up")
        description = up(self.stack, self.say, Asked(nodes=nodes))
        assert run(self.stack, nodes, Lines(nodes)) == 0
        return description


@contextmanager
def cluster(say: Say) -> Iterator[Cluster]:
    """A cluster without nodes; those that it gets are destroyed in the end."""
    before, place = dict(os.environ), Path.cwd()
    with tempfile.TemporaryDirectory(prefix="skyrig-bench-") as name:
        folder = Path(name)
        bench = Cluster("bench", _project(folder / "project"), say)
        os.environ |= {
            "SKYRIG_CACHE": str(places.cache()),
            "SKYRIG_HOME": str(folder / "home"),
            "SKYRIG_SSH_CONFIG": "",
            "PULUMI_HOME": str(folder / "pulumi"),
            "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
        }
        os.chdir(bench.project)
        try:
            yield bench
        finally:
            if stacks.is_there(bench.stack):
                verbs.down(bench.stack, say)
            for served in places.storage("any").parent.glob("[!.]*"):
                server.stop(served)
            os.chdir(place)
            os.environ.clear()
            os.environ |= before


class Lines:
    """Takes a job's output and sees when every one of `ranks` has said its first line."""

    def __init__(self, ranks: int) -> None:
        self._left = {f"first-{rank}!".encode() for rank in range(ranks)}
        self._text = b""
        self.complete_at = 0.0

    def write(self, data: bytes) -> int:
        """The next bytes."""
        self._text += data
        self._left = {mark for mark in self._left if mark not in self._text}
        if not self._left and not self.complete_at:
            self.complete_at = time.monotonic()
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


FIRST = 'echo "first-${SKYPILOT_NODE_RANK}!"'
"""The job: one line from every rank."""


def run(stack: str, nodes: int, out: Lines, workdir: Path | None = None) -> int:
    """Run that job through the Python API; its exit code."""
    task = Task(name="first", num_nodes=nodes, workdir=str(workdir) if workdir else None, run=FIRST)
    return verbs.exec_(task, stack, verbs.RunOptions(), out, lambda line: None)  # type: ignore[arg-type]


def _project(folder: Path) -> Path:
    """The project as links, but for the folder that stack config is written into."""
    (folder / "stacks").mkdir(parents=True)
    for entry in _ROOT.iterdir():
        if entry.name not in ("stacks", "Pulumi.yaml", "tests", "bench") and not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    shutil.copy(_ROOT / "Pulumi.yaml", folder)
    shutil.copy(_ROOT / "stacks" / "__main__.py", folder / "stacks")
    return folder
