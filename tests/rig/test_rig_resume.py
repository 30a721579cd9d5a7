"""Killed at any point and run again, rig finishes; two at once do not meet; whoever ends rig ends its children."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rig_clone import Clone, engine_programs, error_line, script

BULK = 4000
"""Files in the package that takes long enough to be killed in."""


def until(condition: Callable[[], object], seconds: float = 90) -> None:
    """Wait for `condition`, at most so long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Does the process run? (A zombie does not.)"""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip() not in ("", "Z", "Zs")


def children(pid: int) -> list[int]:
    """The process's own children."""
    said = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(word) for word in said.split()]


@pytest.fixture
def small(clone: Clone, empty_venv: Path) -> Clone:
    """A clone with small packages, an engine and an empty environment."""
    clone.python()
    clone.small_packages(bulk=BULK)
    clone.empty_venv(empty_venv)
    engine_programs(clone.engine)
    return clone


def parts(clone: Clone) -> int:
    """How many files of the big package are there."""
    return sum(1 for _ in clone.root.glob(".venv/lib/python3*/site-packages/bulk/part*.py"))


def test_setup_speaks_first_then_runs_the_verb(small: Clone) -> None:
    code, out, err = small.rig("queue")
    assert (code, out) == (0, "invoked queue\n"), err
    assert err.splitlines()[0].startswith(f"rig: setting up {small.root}/.venv with pip")
    assert "to download" in err
    assert parts(small) == BULK
    assert small.rig("queue") == (0, "invoked queue\n", "")


def test_killed_with_its_children_in_the_middle_of_a_package_it_finishes(small: Clone) -> None:
    first = small.start("queue")
    until(lambda: parts(small) > 0)
    helpers = children(first.pid)
    first.kill()
    first.communicate()
    for helper in helpers:
        os.kill(helper, signal.SIGKILL)
    assert parts(small) < BULK
    code, out, err = small.rig("queue")
    assert (code, out) == (0, "invoked queue\n"), err
    assert parts(small) == BULK
    assert not small.kept.joinpath("doing").exists()


def test_what_a_killed_rig_left_running_is_waited_for(small: Clone) -> None:
    first = small.start("queue")
    until(lambda: parts(small) > 0)
    (left,) = children(first.pid)
    os.kill(left, signal.SIGSTOP)
    first.kill()
    first.communicate()
    second = small.start("queue")
    try:
        assert second.stderr
        assert "or what a killed one left running); waiting for it" in second.stderr.readline()
        assert alive(left)
    finally:
        os.kill(left, signal.SIGCONT)
    out, err = second.communicate(timeout=60)
    assert (second.returncode, out) == (0, "invoked queue\n"), err
    assert parts(small) == BULK


def test_a_torn_file_is_found_and_mended(small: Clone) -> None:
    assert small.rig("queue")[0] == 0
    torn = next(small.root.glob(".venv/lib/python3*/site-packages/bulk/part00007.py"))
    whole = torn.read_text()
    torn.write_text(whole[:20])
    small.kept.joinpath("doing").write_text("base")
    small.kept.joinpath("ok-base").unlink()
    assert small.rig("queue")[0] == 0
    assert torn.read_text() == whole


def test_an_environment_cut_off_while_it_was_made_is_made_anew(clone: Clone) -> None:
    clone.python()
    clone.small_packages()
    engine_programs(clone.engine)
    first = clone.start("queue")
    until(lambda: clone.root.joinpath(".venv", "pyvenv.cfg").exists())
    helpers = children(first.pid)
    first.kill()
    first.communicate()
    for helper in helpers:
        os.kill(helper, signal.SIGKILL)
    assert not clone.kept.joinpath("made").exists()
    assert clone.rig("queue")[:2] == (0, "invoked queue\n")
    program = clone.root.joinpath(".venv", "bin", "skyrig").read_text()
    assert str(clone.root) in program and "skyrig.cli.program" in program


def test_two_at_once_take_turns(small: Clone) -> None:
    first = small.start("queue")
    until(lambda: parts(small) > 0)
    (busy,) = children(first.pid)
    os.kill(busy, signal.SIGSTOP)
    second = small.start("status")
    try:
        assert second.stderr
        assert "another rig is at work" in second.stderr.readline()
    finally:
        os.kill(busy, signal.SIGCONT)
    for running, verb in ((first, "queue"), (second, "status")):
        out, err = running.communicate(timeout=60)
        assert (running.returncode, out) == (0, f"invoked {verb}\n"), err


def slow_go(clone: Clone) -> Path:
    """A Go that never ends a build; gives the file it writes its process id to."""
    started = clone.root.parent / "go.pid"
    script(
        clone.bin / "go",
        f'#!/bin/sh\n[ "$1" = env ] && {{ echo go1.99.0; exit; }}\necho $$ >"{started}.new"\n'
        f'mv "{started}.new" "{started}"\nsleep 1000 &\nwait\n',
    )
    return started


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_rig_started(small: Clone, number: signal.Signals) -> None:
    for program in small.engine.iterdir():
        program.unlink()
    started = slow_go(small)
    running = small.start("queue")
    until(started.exists)
    builder = int(started.read_text())
    below = children(builder)
    running.send_signal(number)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "run it again to go on" in err
    until(lambda: not any(alive(pid) for pid in [builder, *below]))


def test_when_the_engine_fails_the_packages_stop_too(small: Clone) -> None:
    for program in small.engine.iterdir():
        program.unlink()
    script(
        small.bin / "go",
        '#!/bin/sh\n[ "$1" = env ] && { echo go1.99.0; exit; }\necho "dial tcp: no such host"; exit 1\n',
    )
    code, out, err = small.rig("queue")
    assert (code, out) == (5, "")
    assert "no network" in error_line(err)
    assert not small.engine.parent.with_name("3.258.0.new").exists()
