"""Runs that fail, are interrupted or cut off: what is wanted stands in the config, and the next `up` gets there."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cloned import BIN, until

from skyrig.cluster.shape import Shape, resized
from skyrig.errors import BadInput, EngineError, SkyrigError
from skyrig.stack import backend, config, engine, leftovers, lock, pending, stacks
from skyrig.stack.pending import Create, Finding

pytestmark = pytest.mark.e2e
TYPE = "pulumi-python:dynamic:Resource"
SLOW = "config:\n  skyrig:nodes: [n0, slow]\n"


def quiet(line: str) -> None:
    """Nobody listens."""


def client(stack: str) -> subprocess.Popen[str]:
    """A client in a process of its own that brings the stack up; it has said that n0 is made."""
    code = f"from skyrig.stack import stacks; stacks.up({stack!r}, None, lambda line: print(line, flush=True))"
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert "n0 created" in running.stdout.readline()
    return running


def test_wanted_nodes_are_written_before_the_engine_runs(project_folder: Path) -> None:
    code = (
        "import os, signal; from skyrig.cluster.shape import Shape, resized; from skyrig.stack import engine, stacks\n"
        "engine.change = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "stacks.up('early', resized(Shape(), 3), print)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert len(config.read_shape("early").nodes) == 3
    assert stacks.up("early", None, quiet).create == 3


def test_bad_values_and_broken_programs_leave_what_was_wanted(
    project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project_folder / "stacks" / "Pulumi.odd.yaml"
    file.write_text("config:\n  skyrig:cpus: many\n")
    with pytest.raises(BadInput, match=r"Pulumi\.odd\.yaml:2"):
        stacks.up("odd", None, quiet)
    assert stacks.known() == [] and not lock.is_held("odd")
    file.write_text("config:\n  skyrig:cpus: 2\n")
    monkeypatch.setenv("TEST_BROKEN", "1")
    with pytest.raises(EngineError, match="on purpose"):
        stacks.up("odd", resized(Shape(), 3), quiet)
    assert not lock.is_held("odd") and backend.lock_files("odd") == []
    monkeypatch.delenv("TEST_BROKEN")
    assert stacks.up("odd", None, quiet).create == 3


def test_a_second_ctrl_c_ends_everything_and_the_next_run_asks_what_was_made(
    project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project_folder / "stacks" / "Pulumi.twice.yaml").write_text(SLOW)
    running = client("twice")
    running.send_signal(signal.SIGINT)
    assert running.stdout is not None and "stopping" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)
    assert not lock.is_held("twice"), "no engine and none of its plugins runs on"
    assert [create.name for create in pending.creates("twice")] == ["slow"]

    # nobody can look up this type: it is named, and nothing is forgotten
    with pytest.raises(SkyrigError, match=rf"made slow \({TYPE}\)") as unknown:
        stacks.up("twice", None, quiet)
    assert "pulumi refresh --stack twice" in str(unknown.value)
    assert [create.name for create in pending.creates("twice")] == ["slow"]

    asked: list[tuple[Create, Shape | None]] = []

    def resolver(create: Create, wanted: Shape | None) -> Finding:
        asked.append((create, wanted))
        return Finding("nothing is there")

    monkeypatch.setitem(pending.RESOLVERS, TYPE, resolver)  # type: ignore[arg-type]
    lines: list[str] = []
    assert stacks.up("twice", None, lines.append).create == 1
    assert asked[0][0].inputs["name"] == "slow" and asked[0][1] == config.read_shape("twice")
    assert any("slow was being made when an earlier run was cut off: nothing is there" in line for line in lines)
    assert pending.creates("twice") == []


def test_an_engine_whose_client_is_killed_goes_on_and_is_waited_for(project_folder: Path) -> None:
    (project_folder / "stacks" / "Pulumi.left.yaml").write_text(SLOW)
    running = client("left")
    running.kill()
    running.communicate()
    assert lock.is_held("left")
    lines: list[str] = []
    assert not stacks.up("left", None, lines.append).any, "the engine had made all of it"
    waited = [line for line in lines if line.startswith("waiting for the engine (process ")]
    assert len(waited) == 1 and f"(process {running.pid}, since " in waited[0] and "that is left of" in waited[0]


def test_a_plain_pulumi_up_is_waited_for_and_may_die_meanwhile(
    project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks.up("plain", resized(Shape(), 1), quiet)
    (project_folder / "stacks" / "Pulumi.plain.yaml").write_text(SLOW)
    up = ["up", "--stack", "plain", "--yes", "--skip-preview", "--non-interactive"]
    holder = subprocess.Popen([BIN / "pulumi", *up], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: pending.creates("plain"), "slow is being made")
    second = subprocess.Popen([BIN / "pulumi", *up], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert second.stderr is not None
    assert f"`pulumi up` (process {holder.pid}, since" in second.stderr.readline()
    lines: list[str] = []
    failed: list[SkyrigError] = []

    def third() -> None:
        try:
            stacks.up("plain", None, lines.append)
        except SkyrigError as error:
            failed.append(error)

    waiting = threading.Thread(target=third)
    waiting.start()
    until(lambda: lines, "the third waits for the second")
    assert "waiting for" in lines[0] and f"`pulumi up` (process {second.pid}, since" in lines[0]
    children = leftovers.of(Path(os.environ["SKYRIG_HOME"], "stacks", "plain", "engine.at-work"))
    holder.kill()
    holder.wait()
    assert second.wait(timeout=60) != 0
    waiting.join(timeout=60)
    assert "not known whether" in str(failed[0]) and "slow" in str(failed[0])
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "what the dead engine had left is ended")
    monkeypatch.setitem(pending.RESOLVERS, TYPE, lambda create, wanted: Finding("no"))  # type: ignore[arg-type]
    assert stacks.up("plain", None, quiet).create == 1


@pytest.mark.soak
def test_on_a_shared_backend_the_engines_own_lock_is_waited_for(
    project_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks.up("far", resized(Shape(), 1), quiet)
    (project_folder / "stacks" / "Pulumi.far.yaml").write_text(SLOW)
    env = {**engine.environment(), "SKYRIG_PULUMI_DIRECT": "1"}
    up = ["up", "--stack", "far", "--yes", "--skip-preview", "--non-interactive"]
    holder = subprocess.Popen([BIN / "pulumi", *up], env=env, stdout=subprocess.DEVNULL)
    until(lambda: pending.creates("far"), "slow is being made")
    monkeypatch.setenv("PULUMI_BACKEND_URL", backend.url())
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", env["PULUMI_CONFIG_PASSPHRASE_FILE"])
    monkeypatch.setattr("skyrig.stack.backend.folder", lambda: None)
    monkeypatch.setattr(pending, "_operations", lambda stack: [])  # else it is settled before the engine says a word
    monkeypatch.setattr(stacks, "_RETRY_S", 0.5)
    lines: list[str] = []
    assert not stacks.up("far", None, lines.append).any
    assert holder.wait() == 0
    said = [line for line in lines if line.startswith("waiting for the engine of ")]
    assert len(said) == 1 and f"(pid {holder.pid}) at " in said[0]


def test_waiting_has_an_end(project_folder: Path) -> None:
    lines: list[str] = []
    waiting = lock.Waiting("s", lines.append, 0.5)
    started = time.monotonic()
    with pytest.raises(SkyrigError) as busy:
        waiting.until_free(lambda: "somebody")
    assert busy.value.exit_code == 5 and "held by somebody" in str(busy.value) and busy.value.hint
    assert 0.5 <= time.monotonic() - started < 5
    assert lines == ["waiting for somebody, which is at work on stack s"]
