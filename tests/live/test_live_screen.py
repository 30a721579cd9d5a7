"""The live region on a pseudo-terminal: what stays there in the end, and what is never written where there is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from live_terminal import HIDE, Terminal, cursor_is_shown, seen

from skyrig.cli.live.screen import Screen
from skyrig.progress import is_live

DRIVER = Path(__file__).with_name("live_driver.py")
PLAIN = ["first line", "  1 of 2 files", "second line, with \x1b[31m odd \\udcff bytes", "last line", "False"]


def env(**more: str) -> dict[str, str]:
    said = ("NO_COLOR", "FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE", "COLUMNS", "LINES")
    return {name: value for name, value in os.environ.items() if name not in said} | more


def play(scene: str, folder: Path, **more: str) -> Terminal:
    return Terminal([sys.executable, str(DRIVER), scene, str(folder)], folder, env(**more))


def regions(said: bytes) -> int:
    """How many times a region was put there."""
    return said.count(HIDE)


def test_lines_stand_above_the_region_and_it_goes(tmp_path: Path) -> None:
    terminal = play("lines", tmp_path)
    terminal.until(b"pulumi up")
    (tmp_path / "drawn").touch()
    terminal.until(lambda said: b"0.0 of 0.0 MB" in said)
    assert seen(terminal.said)[0] == "first line"
    assert any("stack dev" in line for line in seen(terminal.said)[1:])
    (tmp_path / "again").touch()
    assert terminal.end() == 0
    kept = [line for line in seen(terminal.said.replace(b"\x1b[31m odd", b" odd")) if line]
    assert kept == ["first line", "second line, with  odd \\udcff bytes", "last line", "True"]
    assert cursor_is_shown(terminal.said)


@pytest.mark.parametrize(
    ("said", "live"),
    [
        ({}, True),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1"}, False),
        ({"TTY_INTERACTIVE": "0"}, False),
        ({"TTY_COMPATIBLE": "0"}, False),
    ],
)
def test_who_wants_no_region(said: dict[str, str], live: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", env(TERM="xterm") | said)
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        monkeypatch.setattr(sys, "stdout", stderr)
        assert Screen().live is live
        assert is_live(print) is False
    os.close(master)


def test_a_terminal_that_shall_not_move_gets_plain_lines(tmp_path: Path) -> None:
    (tmp_path / "drawn").touch()
    (tmp_path / "again").touch()
    terminal = play("lines", tmp_path, NO_COLOR="1")
    assert terminal.end() == 0
    assert terminal.said.decode().split("\r\n") == [*PLAIN, ""]


def test_a_pipe_gets_plain_lines(tmp_path: Path) -> None:
    (tmp_path / "drawn").touch()
    (tmp_path / "again").touch()
    argv = [sys.executable, str(DRIVER), "lines", str(tmp_path)]
    done = subprocess.run(argv, env=env(TERM="xterm-256color", FORCE_COLOR="1"), capture_output=True, check=True)
    assert done.stderr.decode().split("\n") == [*PLAIN[:-1], ""]
    assert done.stdout == b"False\n"


def test_beside_a_pipe_stand_plain_lines(tmp_path: Path) -> None:
    (tmp_path / "drawn").touch()
    (tmp_path / "again").touch()
    argv = ["bash", "-c", f'"{sys.executable}" "{DRIVER}" lines "{tmp_path}" | cat']
    terminal = Terminal(argv, tmp_path, env())
    assert terminal.end() == 0
    assert terminal.said.decode().split("\r\n") == [*PLAIN, ""]


def test_what_is_soon_over_draws_nothing(tmp_path: Path) -> None:
    terminal = play("quick", tmp_path)
    assert terminal.end() == 0
    assert terminal.said.decode().split("\r\n") == [*(f"line {number}" for number in range(50)), "False", ""]


def test_who_is_in_the_background_draws_nothing(tmp_path: Path) -> None:
    (tmp_path / "drawn").touch()
    argv = ["bash", "-mc", f'"{sys.executable}" "{DRIVER}" output "{tmp_path}" & wait']
    terminal = Terminal(argv, tmp_path, env())
    terminal.until(b"half a line")
    (tmp_path / "again").touch()
    assert terminal.end() == 0
    assert regions(terminal.said) == 0


def test_a_jobs_bytes_are_untouched(tmp_path: Path) -> None:
    terminal = play("output", tmp_path)
    terminal.until(b"setup on n0")
    (tmp_path / "drawn").touch()
    terminal.until(b"half a")
    terminal.until(b" line\r\n")
    assert b"half a line\r\n" in terminal.said, "no region came between"
    before = regions(terminal.said)
    terminal.until(lambda said: regions(said) > before)
    (tmp_path / "again").touch()
    assert terminal.end() == 0
    assert terminal.said.endswith(b"run: \x1b[32mgreen\x1b[0m\r\r\n")
    assert [line for line in seen(terminal.said) if line] == ["whole", "half a line", "run: green"]
    assert cursor_is_shown(terminal.said)


def test_a_question_has_the_terminal_for_itself(tmp_path: Path) -> None:
    terminal = play("question", tmp_path)
    terminal.until(b"takes its time")
    (tmp_path / "drawn").touch()
    terminal.until(b"go on? [y/N] ")
    assert cursor_is_shown(terminal.said)
    assert [line for line in seen(terminal.said) if line] == ["go on? [y/N]"]
    terminal.type(b"y\n")
    assert terminal.end() == 0
    assert [line for line in seen(terminal.said) if line] == ["go on? [y/N] y", "yes"]


@pytest.mark.parametrize(("end", "code"), [(b"\x03", 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_whoever_ends_it_finds_a_clean_terminal(tmp_path: Path, end: bytes | signal.Signals, code: int) -> None:
    terminal = play("busy", tmp_path)
    terminal.until(b"takes its time")
    if isinstance(end, bytes):
        terminal.type(end)
    else:
        os.kill(terminal.pid, end)
    assert terminal.end() == code
    assert cursor_is_shown(terminal.said)
    assert [line for line in seen(terminal.said) if line] in ([], ["^C"])


def test_a_stopped_one_leaves_a_clean_terminal_and_goes_on(tmp_path: Path) -> None:
    terminal = play("busy", tmp_path)
    terminal.until(b"takes its time")
    terminal.type(b"\x1a")
    terminal.until_stopped()
    terminal.until(cursor_is_shown)
    before = regions(terminal.said)
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.until(lambda said: regions(said) > before)
    (tmp_path / "over").touch()
    assert terminal.end() == 0
    assert cursor_is_shown(terminal.said)
    assert [line for line in seen(terminal.said) if line][-1] == "it is over"
