"""Real commands on a pseudo-terminal: a cluster comes, runs a job, and goes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_terminal import Terminal, cursor_is_shown, seen
from user import User

pytestmark = pytest.mark.e2e

TASK = """
workdir: {folder}
setup: |
  echo setting up
  sleep 1.5
run: |
  printf 'half '
  sleep 0.4
  echo 'a line'
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user without a cluster, whose terminal lets things move; what they make is taken away, through a pipe."""
    person = User(tmp_path_factory.mktemp("user"), f"t{os.getpid()}-{time.monotonic_ns() % 100000}")
    for name in ("NO_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        person.env.pop(name, None)
    yield person
    done = person.run("down", "-y", check=None)
    for node in person.nodes().values():
        os.kill(node["pid"], signal.SIGKILL)
    assert done.code == 0, done.told()
    assert b"\x1b" not in done.out + done.err


def test_a_launch_tells_each_line_once(user: User, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "data").write_bytes(os.urandom(1 << 20))
    task = tmp_path / "task.yaml"
    task.write_text(TASK.format(folder=work))
    terminal = Terminal(user.command("launch", str(task), "-c", user.stack), user.clone, user.env)
    assert terminal.end() == 0, terminal.told()
    kept = [line for line in seen(terminal.said) if line]
    told = [line.partition(" created (")[0] for line in kept]
    assert told[0] == f"cluster {user.stack}: 1 node (CPU) on the local cloud, $0.00/h"
    assert sorted(told[1:4]) == [f"  {user.stack}-{what}" for what in ("key", "local-main-n0", "local-network")]
    assert told[4:] == [
        f"{user.stack}: 3 made",
        "files: 1 of 1 changed, 1.0 MB",
        f"job 1 (sky-cmd) submitted to {user.stack}",
        "job 1: setup runs on n0",
        "(setup, n0) setting up",
        "job 1: running on n0",
        "half a line",
        "job 1 SUCCEEDED",
    ]
    rows = terminal.said.decode()
    assert f"stack {user.stack}" in rows
    assert "pulumi up" in rows
    assert "setup on n0" in rows, "the keeper says where setup runs"
    after = terminal.said.partition(b"job 1: running on")[2]
    assert b"\x1b[?25l" not in after, "no region while the job runs"
    assert cursor_is_shown(terminal.said)


def test_ctrl_c_while_the_engine_works_leaves_a_clean_terminal(user: User) -> None:
    terminal = Terminal(user.command("up", "-c", user.stack, "--nodes", "2"), user.clone, user.env)
    terminal.until(b"pulumi up")
    terminal.type(b"\x03")
    assert terminal.end() == 130, terminal.told()
    assert cursor_is_shown(terminal.said)
    kept = [line for line in seen(terminal.said) if line]
    stopping = "  stopping: what is being made is finished first (Ctrl-C again stops at once)"
    assert kept.count(stopping) == 1
    assert kept[-1] == "interrupted"
    assert not any("pulumi up" in line for line in kept)
