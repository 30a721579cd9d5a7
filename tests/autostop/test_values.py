"""Autostop as values: what is taken, what is refused, what is said."""

from __future__ import annotations

import json

import pytest

from skyrig.cluster.autostop import Autostop, AutostopNote, minutes, read_note
from skyrig.errors import BadInput


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("10", 10), ("10m", 10), ("2h", 120), ("1d", 1440), ("1w", 10080)]
)
def test_minutes(text: str, count: int) -> None:
    assert minutes("-i", text) == count


@pytest.mark.parametrize("text", ["", "-1", "1.5", "ten", "1 h", "1y"])
def test_no_minutes(text: str) -> None:
    with pytest.raises(BadInput, match="-i"):
        minutes("-i", text)


@pytest.mark.parametrize(
    "fields", [{"idle_minutes": -1}, {"idle_minutes": True}, {"idle_minutes": 1, "wait_for": "ssh"}]
)
def test_bad_values_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="autostop"):
        Autostop(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Autostop(0), "stops by itself right after its last job"),
        (Autostop(1, down=True), "goes down by itself after 1 idle minute"),
        (Autostop(90, wait_for="jobs"), "stops by itself after 90 idle minutes"),
        (Autostop(90, wait_for="none"), "stops by itself in 90 minutes, whatever runs"),
    ],
)
def test_what_is_said(wanted: Autostop, words: str) -> None:
    assert str(wanted) == words


def test_a_note_is_read_back_and_shown() -> None:
    note = AutostopNote("head", 600.0, True, "jobs", active_at=1000.0)
    assert read_note(json.dumps(note.to_json())) == note
    shown = {"idle_minutes": 10, "down": True, "wait_for": "jobs", "idle_for_minutes": 2.0}
    assert note.shown(1120.0) == shown
    assert AutostopNote("head").shown(1120.0) is None
    assert [read_note(text) for text in ("", "[]", "{}", '{"head": "x", "idle_s": {}}')] == [None] * 4
