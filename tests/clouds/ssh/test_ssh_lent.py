"""Our program on a machine, on a home of its own: taken by one, given back as it was, byte by byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from user import until

from skyrig.clouds.ssh import door

KEY = "ssh-ed25519 AAAAmine skyrig-dev"
LEASE = {"id": "l1", "home": "h", "stack": "dev", "node": "n0", "version": "main/1", "owner": "ada"}


class Home:
    """A machine's home, and what our program says there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".ssh").mkdir(mode=0o700)

    def ask(self, verb: str, **given: Any) -> Any:
        sent = json.dumps({"program": door.program(), "given": {"verb": verb, **given}}) + "\n"
        words = ["sh", "-c", door._PYTHON, "sh", "-c", door._RUN]
        env = {"HOME": str(self.folder), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        done = subprocess.run(words, input=sent, text=True, capture_output=True, env=env, timeout=60)
        [line] = [line for line in done.stdout.splitlines() if line.startswith(door.MARK)] or [done.stderr]
        return json.loads(line[len(door.MARK) :])

    def all(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): oct(path.lstat().st_mode).encode()
            + (path.read_bytes() if path.is_file() else b"")
            for path in self.folder.rglob("*")
        }

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "a home").mkdir()
    return Home(tmp_path / "a home")


KEYS_AT_FIRST = [
    "ssh-rsa AAAAtheirs ada@laptop\n",
    "ssh-rsa AAAAtheirs ada@laptop",
    "# two\r\nssh-rsa AAAAtheirs ada@laptop\r\n\r\n",
    "",
]


@pytest.mark.parametrize("text", KEYS_AT_FIRST)
def test_given_back_it_is_as_it_was(home: Home, text: str) -> None:
    keys = home.write(".ssh/authorized_keys", text)
    keys.chmod(0o644)
    before = home.all()
    assert home.ask("take", lease=LEASE, key=KEY)["taken"]
    home.ask("pass", mark="dev.h", key=KEY, place="10.0.0.2:22")
    known = keys.read_text().splitlines()
    keys.write_text("\n".join([*known, "ssh-ed25519 AAAAinner skyrig-internal"]) + "\n")  # as skyrig.launch.prepare
    assert known[0] == KEY and known[1].startswith('restrict,command="false",port-forwarding,permitopen="10.0.0.2:22" ')
    home.write(".ssh/config", f'Include "{home.folder}/.skyrig/ssh/config"\n\n')
    home.write("sky_workdir/train.py", "pass")
    assert home.ask("back", id="l1")["back"]
    home.ask("shut", mark="dev.h", place="10.0.0.2:22")
    assert home.all() == before
    assert not home.ask("back", id="l1")["back"]


def test_what_somebody_else_changed_meanwhile_stays(home: Home) -> None:
    keys = home.write(".ssh/authorized_keys", "ssh-rsa AAAAtheirs ada\n")
    config = home.write(".ssh/config", "Host x\n")
    home.ask("take", lease=LEASE, key=KEY)
    keys.write_text(keys.read_text() + "ssh-rsa AAAAnew bob\n")
    config.write_text(f'Include "{home.folder}/.skyrig/ssh/config"\n\nHost x\n  Port 3\n')
    home.ask("back", id="l1")
    assert keys.read_text() == "ssh-rsa AAAAtheirs ada\nssh-rsa AAAAnew bob\n"
    assert config.read_text() == "Host x\n  Port 3\n"


def test_of_many_who_want_it_one_gets_it(home: Home) -> None:
    def take(number: int) -> bool:
        lease = {**LEASE, "id": f"l{number}", "stack": f"s{number}"}
        return bool(home.ask("take", lease=lease, key=f"{KEY}{number}")["taken"])

    with ThreadPoolExecutor(max_workers=6) as pool:
        taken = list(pool.map(take, range(6)))
    assert sum(taken) == 1
    assert home.ask("look")["lease"]["stack"] == f"s{taken.index(True)}"
    assert (home.folder / ".ssh/authorized_keys").read_text() == f"{KEY}{taken.index(True)}\n"
    assert [path.name for path in home.folder.glob(".skyrig-machine*")] == [".skyrig-machine"]


def test_a_run_that_was_cut_off_goes_on_with_its_own_lease(home: Home) -> None:
    first = home.ask("take", lease=LEASE, key=KEY)
    again = home.ask("take", lease={**LEASE, "id": "l2"}, key=KEY)
    assert first["taken"] and again["taken"] and again["lease"]["id"] == "l1"
    assert not home.ask("back", id="l2")["back"]


def test_runs_whose_callers_were_killed_go_on_beside_each_other(home: Home) -> None:
    """As after a `kill -9` of `up` and of `down`, each begun again at once."""
    home.write(".ssh/authorized_keys", "ssh-rsa AAAAtheirs ada\n")
    before = home.all()
    home.write(".ssh/authorized_keys.skyrig-4711", "of one that the power went off under")
    with ThreadPoolExecutor(max_workers=9) as pool:
        takes = [pool.submit(home.ask, "take", lease={**LEASE, "id": f"l{number}"}, key=KEY) for number in range(6)]
        backs = [pool.submit(home.ask, "back", id="") for _ in range(3)]
        assert all(each.result()["lease"]["node"] == "n0" for each in takes)
        assert all(each.result()["lease"] is None for each in backs)
    home.ask("back", id="")
    assert home.all() == before


def test_what_the_power_went_off_under_is_told(home: Home) -> None:
    home.ask("take", lease=LEASE, key=KEY)
    home.write(".skyrig-machine/before.json", "")
    assert "before.json cannot be read" in home.ask("back", id="l1")["error"]


def test_a_machine_with_somebodys_folders_is_not_taken(home: Home) -> None:
    home.write("sky_workdir/theirs", "x")
    before = home.all()
    assert "~/sky_workdir is there, and no lease says whose" in home.ask("take", lease=LEASE, key=KEY)["error"]
    assert home.all() == before


def test_folders_that_others_may_have_had_lose_our_links_alone(home: Home) -> None:
    home.write("sky_logs/theirs/run.log", "x")
    before = home.all()
    home.ask("take", lease=LEASE, key=KEY)
    (home.folder / "sky_logs" / "1-train").mkdir()
    (home.folder / "sky_logs" / "1-train" / "run.log").symlink_to(home.folder / ".skyrig" / "jobs" / "log")
    home.ask("back", id="l1")
    assert home.all() == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are found in /proc")
def test_processes_go_wherever_they_have_gone(home: Home) -> None:
    """One at home in our folders, one that a job has started and that hides from its parents, one of somebody's."""
    home.ask("take", lease=LEASE, key=KEY)
    mark = f"{home.folder}/.skyrig/jobs/j/rank-0"
    ours = subprocess.Popen(["sleep", "300"], cwd=home.folder / ".skyrig")
    hidden = subprocess.Popen(
        ["sh", "-c", "setsid sleep 300 & echo $!; exec sleep 300"],
        cwd="/", env={**os.environ, "SKYRIG_RANK_DIR": mark}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    theirs = subprocess.Popen(["sleep", "300"], cwd=home.folder)
    try:
        assert hidden.stdout is not None
        child = int(hidden.stdout.readline())
        assert home.ask("back", id="l1")["back"]
        assert ours.wait(10) == hidden.wait(10) == -9
        until(lambda: not Path(f"/proc/{child}/cwd").exists(), "the hidden one ends")
        assert theirs.poll() is None
    finally:
        for each in (ours, hidden, theirs):
            each.kill()


def test_it_gives_itself_back_from_inside(home: Home) -> None:
    home.write(".ssh/authorized_keys", "ssh-rsa AAAAtheirs ada")
    before = home.all()
    home.ask("take", lease=LEASE, key=KEY)
    home.write(".skyrig/state", "x")
    done = subprocess.run(
        ["sh", "-c", '"$HOME"/.skyrig-machine/end'],
        env={"HOME": str(home.folder), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        cwd=home.folder / ".skyrig",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    until(lambda: not [*home.folder.glob(".skyrig-machine*")], "the lease goes last")
    assert home.all() == before


def test_files_that_were_brought_go_where_nobody_changed_them(home: Home, tmp_path: Path) -> None:
    from skyrig.fleet.content import BlobStore, Entry, Manifest
    from skyrig.fleet.receiver import materialise

    home.write("data/theirs", "x")
    before = home.all()
    home.ask("take", lease=LEASE, key=KEY)
    store, text = BlobStore(home.folder / ".skyrig/incoming"), b"hello"
    import hashlib

    sha = hashlib.sha256(text).hexdigest()
    store.put(sha, [text])
    entries = (Entry("in", "dir"), Entry("in/a", "file", sha256=sha, size=len(text)))
    materialise(store, Manifest(entries), home.folder / "data", home.folder / ".skyrig/mounts/0.json")
    assert (home.folder / "data/in/a").read_bytes() == text
    home.ask("back", id="l1")
    assert home.all() == before
