"""Stacks come, change and go, with the real engine and a program that makes nothing."""

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from skyrig import places
from skyrig.cluster.shape import Shape, resized
from skyrig.errors import EngineError
from skyrig.stack import backend, config, described, engine, stacks
from skyrig.stack.rebuilding import Keys

pytestmark = pytest.mark.e2e


def test_a_stack_comes_grows_shrinks_and_goes(project_folder: Path) -> None:
    lines: list[str] = []
    assert stacks.known() == []
    made = stacks.up("first", resized(Shape(), 2), lines.append)
    assert (made.create, made.delete) == (2, 0)
    assert sorted(line.split(" (")[0].strip() for line in lines) == ["n0 created", "n1 created"]
    assert stacks.known() == ["first"]
    assert not stacks.preview("first").any

    grown = stacks.up("first", resized(config.read_shape("first"), 4), lines.append)
    assert (grown.create, grown.delete) == (2, 0)
    shrunk = stacks.up("first", resized(config.read_shape("first"), 1), lines.append)
    assert (shrunk.create, shrunk.delete) == (0, 3)

    cluster = described.describe("first")
    assert cluster is not None
    assert [node.id for node in cluster.nodes] == ["n0"]
    assert cluster.ssh.private_key == "-----KEY-----"

    gone = stacks.down("first", lines.append)
    assert gone.delete == 1
    assert described.describe("first") is None
    assert not (places.stack("first") / "key").exists()
    assert not (places.stack("first") / "cluster.json").exists()


@pytest.mark.soak
@pytest.mark.soak
def test_no_function_moves_the_selection_of_any_clone(
    project_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every function of `stacks`: one that is added must be added here."""
    calls: dict[str, Callable[[], object]] = {
        "up": lambda: stacks.up("other", resized(Shape(), 1), print),
        "known": stacks.known,
        "everything": stacks.everything,
        "exists": lambda: stacks.exists("other"),
        "is_there": lambda: stacks.is_there("other"),
        "is_data": lambda: stacks.is_data("other"),
        "refuse_data": lambda: stacks.refuse_data("other"),
        "has_buckets": lambda: stacks.has_buckets("other"),
        "selected": stacks.selected,
        "settled": lambda: stacks.settled("other", print),
        "preview": lambda: stacks.preview("other"),
        "refresh": lambda: stacks.refresh("other", print),
        "prepare": lambda: stacks.prepare("other", "up", print),
        "take_config": lambda: stacks.take_config("other"),
        "joined": lambda: stacks.joined(Shape(), Shape(), Shape()),
        "within_limits": lambda: stacks.within_limits("other", Shape()),
        "counted": lambda: stacks.counted(Shape()),
        "with_ports": lambda: stacks.with_ports(Shape(), Shape()),
        "take_over": lambda: stacks.take_over("other", Shape(), lambda *_: None, Keys(), print, lambda paid: True),
        "down": lambda: stacks.down("other", print),
        "remove": lambda: stacks.remove("other", print),
    }
    functions = inspect.getmembers(stacks, inspect.isfunction)
    assert set(calls) == {name for name, f in functions if f.__module__ == stacks.__name__ and name[0] != "_"}
    assert stacks.selected() == "dev"
    engine.query(["stack", "init", "mine"])
    other = tmp_path / "second clone"
    shutil.copytree(project_folder, other)
    monkeypatch.chdir(other)
    engine.query(["stack", "init", "theirs"])
    notes = {file: file.read_bytes() for file in (backend.engine_home() / "workspaces").iterdir()}
    assert len(notes) == 2
    for name, call in [*calls.items(), ("described", lambda: described.describe("other"))]:
        for clone in (project_folder, other) if name in ("settled", "prepare") else (other,):
            monkeypatch.chdir(clone)
            call()
        found = {file: file.read_bytes() for file in (backend.engine_home() / "workspaces").iterdir()}
        assert found == notes, name
    assert [stacks.selected(), os.environ.get("PULUMI_STACK")] == ["theirs", None]
    monkeypatch.chdir(project_folder)
    assert stacks.selected() == "mine"
    assert json.loads(engine.query(["stack", "ls", "--json"]))[0]["current"] is True


def test_the_description_is_kept_until_the_state_changes(project_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    real = engine.query

    def counted(args: list[str], *, stack: str | None = None) -> str:
        asked.append(args)
        return real(args, stack=stack)

    stacks.up("kept", resized(Shape(), 1), lambda line: None)
    monkeypatch.setattr(engine, "query", counted)
    first = described.describe("kept")
    assert len(asked) == 1
    assert described.describe("kept") == first
    assert len(asked) == 1
    for name in ("cluster.json", "key"):
        assert (places.stack("kept") / name).stat().st_mode & 0o777 == 0o600
    described.describe("kept", fresh=True)
    assert len(asked) == 2
    state = backend.state_file("kept")
    assert state is not None
    os.utime(state, ns=(1, 1))
    assert described.describe("kept") == first
    assert len(asked) == 3


def test_a_broken_program_is_one_line_with_its_reason(project_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_BROKEN", "1")
    with pytest.raises(EngineError) as failed:
        stacks.up("broken", None, lambda line: None)
    assert len(str(failed.value).splitlines()) == 1
    assert "on purpose" in str(failed.value)
    assert "engine.log" in str(failed.value)
    assert (places.stack("broken") / "engine.log").stat().st_mode & 0o777 == 0o600


def test_a_lost_config_comes_back_from_the_last_deployment(project_folder: Path) -> None:
    stacks.up("lost", resized(Shape(), 3), lambda line: None)
    (project_folder / "stacks" / "Pulumi.lost.yaml").unlink()
    lines: list[str] = []
    assert not stacks.up("lost", None, lines.append).any
    assert "is not here" in lines[0] and "[n0, n1] here, [n0, n1, n2] there" in lines[0]
    assert len(config.read_shape("lost").nodes) == 3


def test_the_salt_of_another_backend_stops_nobody(project_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.environ["SKYRIG_HOME"]
    stacks.up("salted", resized(Shape(), 1), lambda line: None)
    monkeypatch.setenv("SKYRIG_HOME", here + "-elsewhere")
    assert stacks.up("salted", None, lambda line: None).create == 1
    monkeypatch.setenv("SKYRIG_HOME", here)
    assert not stacks.up("salted", None, lambda line: None).any


def test_ctrl_c_ends_the_engine_which_writes_down_what_it_did(project_folder: Path) -> None:
    (project_folder / "stacks" / "Pulumi.cut.yaml").write_text("config:\n  skyrig:nodes: [n0, slow]\n")
    code = "from skyrig.stack import stacks; stacks.up('cut', None, lambda line: print(line, flush=True))"
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert "n0 created" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=30)
    assert running.returncode != 0
    assert "stopping" in said
    assert backend.lock_files("cut") == []
    assert not stacks.up("cut", None, lambda line: None).any


def test_a_changed_node_is_replaced_and_counted_once(project_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks.up("anew", resized(Shape(), 1), lambda line: None)
    monkeypatch.setenv("TEST_KIND", "other")
    lines: list[str] = []
    changes = stacks.up("anew", None, lines.append)
    assert (changes.create, changes.replace, changes.delete) == (0, 1, 0)
    assert [line.split(" (")[0].strip() for line in lines] == ["n0 replaced"]
