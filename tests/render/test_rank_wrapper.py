"""rank.sh: what a process gets, and what is known of how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyrig.launch.program import Script
from skyrig.launch.render import render_launch

WORD = st.binary(max_size=12).filter(lambda word: b"\0" not in word)
PRINT_WORDS = "import os, sys; os.write(1, b'\\0'.join(map(os.fsencode, sys.argv[1:])))"

Prepare = Callable[..., list[str]]


@pytest.fixture
def prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Writes rank.sh of a Python program and gives the command that runs it."""
    monkeypatch.setenv("SKYRIG_PYTHON", sys.executable)
    monkeypatch.setenv("SKYRIG_RANK_DIR", str(tmp_path))
    monkeypatch.setenv("LOCAL_RANK", "3")

    def write(program: str, words: tuple[str, ...] = ()) -> list[str]:
        script = tmp_path / "script.py"
        script.write_text(program)
        text = render_launch(Script(str(script), words), "plain").files["rank.sh"]
        (tmp_path / "rank.sh").write_bytes(text.encode(errors="surrogateescape"))
        return ["/bin/bash", str(tmp_path / "rank.sh")]

    return write


def record(folder: Path) -> str:
    """The one record that is there."""
    (only,) = (folder / "proc").iterdir()
    assert only.name.startswith("3.")
    return only.read_text()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(WORD, max_size=8))
def test_words_reach_the_script_byte_for_byte(prepare: Prepare, locale: str, words: list[bytes]) -> None:
    command = prepare(PRINT_WORDS, tuple(os.fsdecode(word) for word in words))
    got = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "LC_ALL": locale})
    assert got.stdout == b"\0".join(words)


def test_what_a_launcher_adds_comes_before_the_words_of_the_user(prepare: Prepare) -> None:
    command = prepare(PRINT_WORDS, ("--lr", "1"))
    got = subprocess.run([*command, "--local_rank=3"], capture_output=True, check=True)
    assert got.stdout.split(b"\0") == [b"--local_rank=3", b"--lr", b"1"]


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("pass", 0),
        ("raise SystemExit(7)", 7),
        ("raise SystemExit(127)", 127),
        ("import os; os._exit(255)", 255),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("import os; os.kill(os.getpid(), 11)", 139),
        ("no python", 1),
    ],
)
def test_the_code_is_recorded_and_passed_on(prepare: Prepare, tmp_path: Path, program: str, code: int) -> None:
    ended = subprocess.run(prepare(program), capture_output=True)
    assert (ended.returncode, record(tmp_path)) == (code, f"{code}\n")


def test_a_python_that_is_not_there_is_127(prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = prepare("pass")
    monkeypatch.setenv("SKYRIG_PYTHON", "/no/such/python")
    assert subprocess.run(command, capture_output=True).returncode == 127
    assert record(tmp_path) == "127\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_process_and_its_own_code_counts(
    prepare: Prepare, tmp_path: Path, number: signal.Signals
) -> None:
    command = prepare(
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(20) == 5
    assert record(tmp_path) == "5\n"


def test_the_process_starts_with_no_signal_ignored(prepare: Prepare) -> None:
    command = prepare(
        "import signal\n"
        "for name in ('SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP'):\n"
        "    assert signal.getsignal(getattr(signal, name)) != signal.SIG_IGN, name\n"
    )
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_a_signal_that_the_process_ignores_is_waited_out(prepare: Prepare, tmp_path: Path) -> None:
    command = prepare(
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('not now', flush=True))\n"
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(4))\n"
        "print(os.getpid(), flush=True)\n"
        "while True: time.sleep(60)\n"
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        inner = int(process.stdout.readline())
        process.terminate()
        assert process.stdout.readline() == b"not now\n"
        os.kill(inner, signal.SIGUSR1)
        assert process.wait(20) == 4
    assert record(tmp_path) == "4\n"
