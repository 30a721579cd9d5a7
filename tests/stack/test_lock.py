"""Who waits for whom."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from skyrig.errors import StackBusy
from skyrig.stack import backend, lock

HOLD = """
import sys
from skyrig.stack import lock
with lock.held("s", print):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _in_the_project(project_folder: Path) -> None:
    """Every test here runs in a project of its own."""


def engine_lock(pid: int, host: str) -> Path:
    """A lock as the engine writes it."""
    base = backend.folder()
    assert base is not None
    file = base / "locks" / "organization" / "skyrig" / "s" / "1.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"pid": pid, "hostname": host, "username": "me"}))
    return file


def test_the_second_waits_for_the_first_and_says_so() -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdin is not None and first.stdout is not None
    assert first.stdout.readline() == "held\n"
    assert lock.is_held("s")
    lines: list[str] = []
    with pytest.raises(StackBusy, match=f"process {first.pid}"), lock.held("s", lines.append, wait_s=0.5):
        pass
    assert len(lines) == 1
    assert f"process {first.pid}" in lines[0]
    threading.Timer(0.5, first.stdin.close).start()
    with lock.held("s", lines.append):
        assert lock.is_held("s")
    first.wait()
    assert not lock.is_held("s")


def test_a_lock_dies_with_its_holder() -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    first.stdout.readline()
    first.kill()
    first.wait()
    with lock.held("s", lambda line: None, wait_s=5):
        pass


def test_an_engines_lock_is_broken_when_its_process_is_dead_here() -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    file = engine_lock(dead.pid, socket.gethostname())
    with lock.held("s", lambda line: None, wait_s=5):
        assert not file.exists()


def test_a_number_that_another_program_has_now_is_as_good_as_dead() -> None:
    if not Path("/proc/self/comm").exists():
        pytest.skip("only /proc tells what a process is")
    file = engine_lock(os.getpid(), socket.gethostname())
    with lock.held("s", lambda line: None, wait_s=5):
        assert not file.exists()


@pytest.mark.parametrize("written", [1000, 40, 0])
def test_a_lock_that_its_engine_died_over_is_broken(written: int) -> None:
    """The engine writes its lock beside it, then renames it; the next one minds what is left there too."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    file = engine_lock(dead.pid, socket.gethostname())
    left = file.rename(file.with_name("1.json.18a2b3c4d5e6f708.tmp"))
    left.write_bytes(left.read_bytes()[:written])
    long_ago = time.time() - 60
    os.utime(left, (long_ago, long_ago))
    with lock.held("s", lambda line: None, wait_s=5):
        assert not left.exists()


def test_what_the_engine_keeps_beside_a_lock_is_no_lock() -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    file = engine_lock(dead.pid, socket.gethostname())
    file.with_name("1.json.attrs").write_text('{"user.cache_control":"","md5":""}')
    with lock.held("s", lambda line: None, wait_s=5):
        assert not file.exists()


def test_an_engines_lock_of_another_host_is_waited_for() -> None:
    file = engine_lock(1, "another-host.example")
    with pytest.raises(StackBusy, match=r"another-host\.example"), lock.held("s", lambda line: None, wait_s=0.3):
        pass
    assert file.exists()


def test_a_living_engine_is_waited_for(tmp_path: Path) -> None:
    program = tmp_path / "pulumi"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    living = subprocess.Popen([str(program), "60"])
    try:
        name = Path(f"/proc/{living.pid}/comm")
        while name.exists() and name.read_text() != "pulumi\n":
            time.sleep(0.001)  # the kernel gives a program its name a moment after Popen hears of its start
        file = engine_lock(living.pid, socket.gethostname())
        with pytest.raises(StackBusy, match=str(living.pid)), lock.held("s", lambda line: None, wait_s=0.3):
            pass
        assert file.exists()
    finally:
        living.kill()
        living.wait()
