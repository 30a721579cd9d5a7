"""Clusters that stop and go while files wait for their bucket, with the commands that a user has."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from user import User, cluster_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.soak,  # four runs of the engine
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0 or not Path("/dev/fuse").exists(),
        reason="needs Linux, root and /dev/fuse",
    ),
]

TASK = """
file_mounts:
  ~/ckpt: {name: goes, mode: MOUNT_CACHED}
run: ls ~/ckpt; echo kept >~/ckpt/before
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user with a cluster of one node."""
    with cluster_of(tmp_path_factory.mktemp("going"), 1) as person:
        yield person


def servers(user: User) -> list[int]:
    """The S3 servers of this user, by what they serve."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"versitygw") and any(os.fsencode(user.home) in word for word in words):
            found.append(int(path.parent.name))
    return found


def test_stop_and_down_while_files_wait(user: User) -> None:
    (user.clone / "task.yaml").write_text(TASK)
    user.run("launch", "task.yaml", "-c", user.stack, "--infra", "local", "-y")
    stored = list(user.home.glob("storage/**/goes/before"))
    assert [path.read_text() for path in stored] == ["kept\n"]
    (pid,) = servers(user)
    os.kill(pid, signal.SIGKILL)
    (user.clone / "more.yaml").write_text("run: echo more >~/ckpt/after; exit 3\n")
    user.run("exec", "more.yaml", "-c", user.stack, check=3)
    refused = user.run("stop", "-c", user.stack, "-y", "--flush-timeout", "1", check=2, timeout=30)
    assert "not in its bucket: n0: s3://goes/after (5 B)" in refused.err.decode()
    forced = user.run("stop", "-c", user.stack, "-y", "--force", timeout=60)
    assert "not in its bucket: n0: s3://goes/after (5 B)" in forced.err.decode()
    user.run("start", "-c", user.stack, "-y")
    user.run("launch", "task.yaml", "-c", user.stack, "--infra", "local", "-y")
    done = user.run("down", "-c", user.stack, "-y")
    assert "not in its bucket" not in done.err.decode()
    assert (stored[0].parent / "after").read_text() == "more\n"
