"""What a live region shows is a function of the steps and the time alone."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from skyrig.cli.live.board import Board
from skyrig.cli.live.drawing import ROWS, drawn, printable
from skyrig.progress import Kind, Step

MB = 1_000_000


def shown(told: Sequence[tuple[float, Step]], now: float, *, height: int = 24) -> list[str]:
    """The rows at `now`, after steps at their times; without the spinner that every row begins with."""
    board = Board()
    for moment, step in told:
        board = board.after(step, moment)
    console = Console(record=True, file=io.StringIO(), width=80, height=height, force_terminal=True)
    console.print(drawn(board, now, console))
    lines = console.export_text().splitlines()
    assert all(len(line) <= 80 for line in lines)
    return [" ".join(line.split()[1:] if not line.startswith("  ") else line.split()) for line in lines]


def resource(number: int, **more: object) -> Step:
    return Step(Kind.RESOURCE, f"n{number}", "being created", **more)  # type: ignore[arg-type]


CASES = {
    "nothing goes on": ([], 5.0, []),
    "what began first stands first, each with its own time": (
        [(0.0, Step(Kind.ENGINE, "stack dev", "pulumi up")), (2.0, resource(0)), (3.5, resource(1))],
        65.0,
        ["stack dev pulumi up 1 min 05 s", "n0 being created 1 min 03 s", "n1 being created 1 min 01 s"],
    ),
    "what has ended is gone": (
        [(0.0, resource(0)), (0.0, resource(1)), (1.0, resource(0, ended=True))],
        2.0,
        ["n1 being created 2 s"],
    ),
    "the end of what never began is nothing": ([(0.0, resource(0, ended=True))], 1.0, []),
    "one subject may be busy in two ways": (
        [(0.0, Step(Kind.WAIT, "n0", "is being reached")), (1.0, Step(Kind.SYNC, "n0", "what is to be sent?"))],
        3.0,
        ["n0 is being reached 3 s", "n0 what is to be sent? 2 s"],
    ),
    "a transfer that has just begun has no rate": (
        [(0.0, Step(Kind.SYNC, "files to n0", total=40 * MB))],
        0.5,
        ["files to n0 0.0 of 40.0 MB 0 s"],
    ),
    "bytes, all of them, rate and what is left": (
        [(float(at), Step(Kind.SYNC, "files to n0", done=at * 4 * MB, total=40 * MB)) for at in range(4)],
        3.0,
        ["files to n0 12.0 of 40.0 MB, 4.0 MB/s, 7 s left 3 s"],
    ),
    "the rate is that of the last seconds": (
        [(float(at), Step(Kind.SYNC, "f", done=min(at, 10) * 10 * MB + at * MB, total=900 * MB)) for at in range(31)],
        30.0,
        ["f 130.0 of 900.0 MB, 1.0 MB/s, 12 min 50 s left 30 s"],
    ),
    "between two reports the rate stays": (
        [(float(at), Step(Kind.SYNC, "f", done=at * 4 * MB, total=40 * MB)) for at in range(3)],
        3.9,
        ["f 8.0 of 40.0 MB, 4.0 MB/s, 8 s left 3 s"],
    ),
    "what stands still gets slower": (
        [(float(at), Step(Kind.SYNC, "f", done=at * 4 * MB, total=40 * MB)) for at in range(3)],
        8.0,
        ["f 8.0 of 40.0 MB, 1.0 MB/s, 32 s left 8 s"],
    ),
    "all is sent, and not yet taken": (
        [(float(at), Step(Kind.SYNC, "f", done=at * 4 * MB, total=8 * MB)) for at in range(3)],
        2.0,
        ["f 8.0 of 8.0 MB, 4.0 MB/s 2 s"],
    ),
    "a second transfer to the same place begins anew": (
        [
            (0.0, Step(Kind.SYNC, "f", done=0, total=8 * MB)),
            (1.0, Step(Kind.SYNC, "f", done=8 * MB, total=8 * MB)),
            (2.0, Step(Kind.SYNC, "f", done=0, total=4 * MB)),
            (4.0, Step(Kind.SYNC, "f", done=2 * MB, total=4 * MB)),
        ],
        4.0,
        ["f 2.0 of 4.0 MB, 1.0 MB/s, 2 s left 4 s"],
    ),
    "each destination has its own": (
        [
            (0.0, Step(Kind.SYNC, "files to n0", done=0, total=8 * MB)),
            (0.0, Step(Kind.SYNC, "files to n1", done=0, total=8 * MB)),
            (1.0, Step(Kind.SYNC, "files to n0", done=2 * MB, total=8 * MB)),
            (1.0, Step(Kind.SYNC, "files to n1", done=8 * MB, total=8 * MB, ended=True)),
        ],
        1.0,
        ["files to n0 2.0 of 8.0 MB, 2.0 MB/s, 3 s left 1 s"],
    ),
    "a later detail takes the place of an earlier one": (
        [(0.0, Step(Kind.SETUP, "setup on n0", "one")), (1.0, Step(Kind.SETUP, "setup on n0", "two"))],
        7300.0,
        ["setup on n0 two 2 h 01 min"],
    ),
}


@pytest.mark.parametrize(("told", "now", "rows"), CASES.values(), ids=CASES.keys())
def test_rows(told: Sequence[tuple[float, Step]], now: float, rows: list[str]) -> None:
    assert shown(told, now) == rows


@pytest.mark.parametrize(("height", "room"), [(24, ROWS), (10, 7), (4, 1), (2, 1)])
def test_many_are_counted(height: int, room: int) -> None:
    rows = shown([(0.0, resource(number)) for number in range(20)], 1.0, height=height)
    assert rows == [f"n{number} being created 1 s" for number in range(room)] + [f"... and {20 - room} more"]


def test_long_and_odd_words_stay_in_their_row() -> None:
    long = Step(Kind.SETUP, "setup on " + "n" * 100, "\x1b[31m" + "[bold]word[/] " * 20)
    (row,) = shown([(0.0, long)], 1.0)
    assert row.startswith("setup on nnn")
    assert "[bold]word" in row
    assert row.endswith("… 1 s")
    assert "\x1b" not in row


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("plain", "plain"),
        ("\x1b[1;32mgreen\x1b[0m \x1b]0;title\x07end\x1b(", "green end("),
        ("10 %\r20 %\r30 %\r", "30 %"),
        ("a\tb\x00\x07", "a   b"),
        ("日本 ünï", "日本 ünï"),
    ],
)
def test_what_jobs_print_moves_nothing(said: str, seen: str) -> None:
    assert printable(said) == seen
