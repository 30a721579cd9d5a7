"""A job's log as it comes, in bytes, and what can be drawn of it: lines are told apart by rank, progress bars by their
total, and what several ranks print alike is taken from the first of them. When nodes have come or gone that may be
another one: its numbers go on where those of the one before ended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from threading import Lock

from attrs import define, field

from skyrig.plots import marks, names, reading
from skyrig.plots.reading import Reading
from skyrig.plots.tracks import Track, Way
from skyrig.plots.values import Curve, Mark, Segment, Training

_WHOSE = re.compile(rb"\((?:rank (\d{1,9}), [^()]{0,100}|(setup, [^()]{0,100})|(skyrig))\) ")
_PROCESS = re.compile(rb"\s*\[(?:rank|default)(\d{1,6})\]:?\s?")
_BEGINNING = re.compile(rb"(?:%s)?(?:%s)?" % (_WHOSE.pattern, _PROCESS.pattern))
_LONGEST = 64 * 1024
_RANKS = 4
"""Of so many ranks, the first ones, it is kept what they say."""
_BARS = 16
_MARKS = 1000

Whose = tuple[int, int]
"""Rank, and process of it."""


@define
class _Program:
    """What one process has said."""

    lines: Track = field(factory=Track)
    bars: dict[int, Track] = field(factory=dict)
    epoch: float | None = None
    count: int = 0
    losses: int = 0

    def taken_over(self) -> _Program:
        """One that goes on where this one was."""
        bars = {total: each.taken_over() for total, each in self.bars.items()}
        return _Program(self.lines.taken_over(), bars, self.epoch, self.count, self.losses)

    def add(self, found: Reading) -> None:
        self.count += 1
        self.losses += names.LOSS in found.values
        if not found.bar:
            self.lines.add(self.count, found)
        elif found.bar in self.bars or len(self.bars) < _BARS:
            self.bars.setdefault(found.bar, Track()).add(self.count, found)

    @property
    def tracks(self) -> list[Track]:
        """What it has said, by which the axis is chosen first: where there is a loss, and lines before bars."""
        most = sorted(self.bars.values(), key=lambda each: -each.readings)[:1]
        found = [each for each in (self.lines, *most) if each.points]
        return sorted(found, key=lambda each: names.LOSS not in each.points)


class Gathering:
    """Takes a log in pieces of any size, as `logs` shows it: `(rank K, NODE) ` before the lines of several nodes. One
    thread may write what another asks about."""

    def __init__(self) -> None:
        self._rest = b""
        self._programs: dict[Whose, _Program] = {}
        self._before = _Program()
        self._marks: list[tuple[int, str]] = []
        self._lock = Lock()

    def write(self, data: bytes) -> int:
        """Take the next piece; how much that was (all of it, as of a file)."""
        with self._lock:
            self._take(data)
        return len(data)

    def _take(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        drawn, anew, rest_of_it = rest.rpartition(b"\r")
        if anew:  # a bar, which need not end its line for hours
            self._line(drawn)
            rest = _BEGINNING.match(drawn)[0] + rest_of_it  # type: ignore[index]  # it matches everything
        self._rest = rest[:_LONGEST]

    def flush(self) -> None:
        """As of a file: nothing is held back."""

    def end(self) -> None:
        """No more comes: what has no line feed is a line too."""
        with self._lock:
            rest, self._rest = self._rest, b""
            self._line(rest)

    def training(self) -> Training:
        """What is known by now."""
        with self._lock:
            program = self._teller()
            return self._drawn(program) if program.tracks else Training()

    def _teller(self) -> _Program:
        """The one that is drawn: the first that has told anything since nodes last came or went (and as many losses as
        any, at least nearly: one that no longer tells may have had a last line left), or what was before."""
        told = [self._programs[whose] for whose in sorted(self._programs) if self._programs[whose].tracks]
        if self._before.tracks:
            told = [each for each in told if each.count > self._before.count]
            most = max((each.losses - self._before.losses for each in told), default=0)
            told = [each for each in told if 2 * (each.losses - self._before.losses) >= most]
        return told[0] if told else self._before

    def _line(self, line: bytes) -> None:
        whose = _WHOSE.match(line) if line.startswith(b"(") else None
        rank = 0
        if whose is not None:
            if whose[2]:
                return
            line = line[whose.end() :]
            if whose[3]:
                self._mark(line)
                return
            rank = int(whose[1])
            if len(self._programs) >= _RANKS and (rank, 0) > max(self._programs):
                return
        process = _PROCESS.match(line) if line.lstrip().startswith(b"[") else None
        if process is not None:
            line = line[process.end() :]
        for part in line.split(b"\r") if b"\r" in line else (line,):
            if reading.may_tell(part):
                self._part((rank, int(process[1]) if process else 0), part)

    def _part(self, whose: Whose, part: bytes) -> None:
        text = part[: reading.LONGEST].decode("utf-8", "replace")
        found, epoch = reading.read(text), reading.header(text)
        if found is None and epoch is None:
            return
        program = self._program(whose)
        if program is None:
            return
        if epoch is not None:
            program.epoch = epoch
        if found is not None:
            if found.epoch is None and found.step is not None:
                found = Reading(found.values, found.step, program.epoch, found.bar)
            program.add(found)

    def _program(self, whose: Whose) -> _Program | None:
        """The program that is meant; None for one of a rank that does not count."""
        if whose not in self._programs:
            if len(self._programs) >= _RANKS:
                last = max(self._programs)
                if whose > last:
                    return None
                del self._programs[last]
            self._programs[whose] = self._before.taken_over()
        return self._programs[whose]

    def _mark(self, line: bytes) -> None:
        what = marks.of_line(line)
        if what is None:
            return
        if len(self._marks) < _MARKS:
            self._marks.append((self._teller().count, what))
        if what != marks.NOTICED:  # from now on it may be another one that tells how the run goes on
            self._before, self._programs = self._teller(), {}

    def _drawn(self, program: _Program) -> Training:
        first, *others = program.tracks
        axis = first.axis
        curves = {name: first.curve(name, axis) for name in first.points}
        way = first.way(axis)
        for other in others:
            for curve in _alongside(way, axis, other):
                known = curves.get(curve.name)
                if known is None or known.count < min(2, curve.count):  # a summary at the end is no curve
                    curves[curve.name] = curve
        placed = tuple(Mark(way.at(number), what) for number, what in self._marks)
        return Training(axis, tuple(curves[name] for name in names.KNOWN if name in curves), placed)


def _alongside(way: Way, axis: str, other: Track) -> Iterator[Curve]:
    """Curves of another track on the axis of the first, which has gone this way: as they are where both count alike;
    steps stretched to where that was when both had come as far as they are known; all else where it was then."""
    for name in other.points:
        if axis == other.axis:
            yield other.curve(name, axis)
        elif other.axis == "step":
            newest = way.numbers[-1]
            done = other.way("step").at(newest)
            if done > 0:
                scale = way.at(newest) / done
                stretches = other.curve(name, "step").segments
                yield Curve(name, tuple(Segment(tuple(x * scale for x in each.x), each.y) for each in stretches))
        else:
            yield other.along(way, name)


def of_text(data: bytes) -> Training:
    """What can be drawn of a whole log."""
    found = Gathering()
    found.write(data)
    found.end()
    return found.training()
