"""Readings of one program in the order in which they came, and the curves that they make."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, zip_longest
from statistics import median
from typing import NamedTuple

from attrs import define, evolve, field, frozen

from skyrig.plots import names
from skyrig.plots.reading import Reading
from skyrig.plots.values import Curve, Segment

HELD = 1 << 14
"""Points of a curve that are held; of more every second one goes, and from then on one comes for twice as many."""

TOLD = 2000
"""Points of a curve that come out."""


class Point(NamedTuple):
    """One number as it came: `number` is that of its line, counted from 1 over all that told something."""

    number: int
    step: float | None
    epoch: float | None
    value: float


@frozen
class Way:
    """Where a program was on the axis (`places`) after each of the lines with these numbers."""

    numbers: Sequence[int]
    places: Sequence[float]

    def at(self, number: int) -> float:
        """Where it was after the line with that number; 0 where it had not begun."""
        known = bisect_right(self.numbers, number)
        return self.places[known - 1] if known else 0.0


@define
class Track:
    """The readings of one kind (lines, or a progress bar of one total) of one process."""

    points: dict[str, list[Point]] = field(factory=dict)
    readings: int = 0
    _crowds: dict[str, tuple[int, int]] = field(factory=dict)
    """By curve: how many readings become one point (where not one), and how many the last one stands for."""
    _epoch: float | None = None
    _last: float = -1.0
    _farthest: float = -1.0
    _before: dict[float, float] = field(factory=dict)

    def taken_over(self) -> Track:
        """One that goes on where this one was."""
        points = {name: list(held) for name, held in self.points.items()}
        return evolve(self, points=points, crowds=dict(self._crowds), before=dict(self._before))

    def add(self, number: int, reading: Reading) -> None:
        """Take the next reading."""
        self.readings += 1
        step = self._in_all(reading)
        for name, value in reading.values.items():
            self._hold(name, Point(number, step, reading.epoch, value))

    def _hold(self, name: str, point: Point) -> None:
        """The newest one is always held."""
        held = self.points.get(name)
        if held is None:
            held = self.points[name] = []
        if name in self._crowds:
            most, count = self._crowds[name]
            self._crowds[name] = most, count % most + 1
            if count < most:
                held[-1] = point
                return
        held.append(point)
        if len(held) > HELD:
            del held[1::2]
            most = 2 * self._crowds.get(name, (1, 1))[0]
            self._crowds[name] = most, most

    @property
    def axis(self) -> str:
        """What its curves are over; see values.AXES."""
        shown = next((self.points[name] for name in names.KNOWN if name in self.points), [])
        if any(point.step is not None for point in shown):
            return "step"
        epochs = {point.epoch for point in shown} - {None}
        return "epoch" if len(epochs) > 1 or (epochs and len(shown) == 1) else "line"

    def curve(self, name: str, axis: str) -> Curve:
        """One of its curves."""
        places = [(self._place(each, axis), each.value) for each in self._placed(name, axis)]
        return Curve(name, segments(spread(places) if axis == "epoch" else places))

    def way(self, axis: str) -> Way:
        """How far it had come after each line."""
        placed = sorted(
            (each.number, self._place(each, axis)) for name in self.points for each in self._placed(name, axis)
        )
        return Way([number for number, _ in placed], [place for _, place in placed])

    def along(self, way: Way, name: str) -> Curve:
        """One of its curves where another track was that has gone this way."""
        return Curve(name, segments([(way.at(each.number), each.value) for each in self.points[name]]))

    def _placed(self, name: str, axis: str) -> list[Point]:
        """The points of a curve that have a place, or had one before them."""
        if axis == "line":
            return self.points.get(name, [])
        anchors = sorted(
            ((each.number, value) for points in self.points.values() for each in points
             if (value := getattr(each, axis)) is not None), reverse=True,
        )  # fmt: skip
        found, place = [], 0.0
        for each in self.points.get(name, []):
            while anchors and anchors[-1][0] <= each.number:
                place = anchors.pop()[1]
            own = getattr(each, axis)
            at = place if own is None else own
            found.append(Point(each.number, at, at, each.value))
        return found

    def _place(self, point: Point, axis: str) -> float:
        place = {"step": point.step, "epoch": point.epoch}.get(axis, float(point.number))
        return 0.0 if place is None else place

    def _in_all(self, reading: Reading) -> float | None:
        """The step over all epochs, where a program counts anew in each: it goes back as the epoch goes on."""
        step, epoch = reading.step, reading.epoch
        if step is None:
            return None
        if epoch is not None and epoch != self._epoch and float(epoch).is_integer():
            if epoch not in self._before:
                back = step < self._last or (reading.bar > 0 and step == self._last)
                anew = back and self._epoch is not None and epoch > self._epoch
                done = self._before.get(self._epoch or 0.0, 0.0)
                self._before[epoch] = done + self._farthest if anew else done
            self._epoch, self._farthest = epoch, step
        self._last, self._farthest = step, max(step, self._farthest)
        return step + (self._before.get(self._epoch, 0.0) if self._epoch is not None else 0.0)


def spread(places: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """The same, where most places have several values (a program that tells the epoch alone, or only two digits of it)
    each of these a bit further, up to the next place."""
    groups = [list(group) for _, group in groupby(places, key=lambda each: each[0])]
    if not groups or median(len(group) for group in groups) < 2:
        return places
    found: list[tuple[float, float]] = []
    width = 0.0
    for group, later in zip_longest(groups, groups[1:]):
        place = group[0][0]
        if later and later[0][0] > place:
            width = (later[0][0] - place) / len(group)
        found += [(place + width * at, value) for at, (_, value) in enumerate(group)]
    return found


def segments(places: Sequence[tuple[float, float]]) -> tuple[Segment, ...]:
    """Values by their places in the order in which they came, as stretches that only go forward. Of one place the last
    value counts. One single place that lies back is a line that came late, and left out; two begin a new stretch. Where
    most places have several values, as of ranks that print into one another's lines, it is so too if the next place is
    the one before it again."""
    parts: list[list[tuple[float, float]]] = [[]]
    times = Counter(place for place, _ in places)
    several = sum(count > 1 for count in times.values()) > 0.75 * len(times)
    ordered = [list(group)[-1] for _, group in groupby(places, key=lambda each: each[0])]
    for at, (place, value) in enumerate(ordered):
        if parts[-1] and place < parts[-1][-1][0]:
            later = ordered[at + 1][0] if at + 1 < len(ordered) else place
            if later > parts[-1][-1][0] or (several and later == parts[-1][-1][0]):
                continue
            parts.append([])
        if parts[-1] and place == parts[-1][-1][0]:
            parts[-1].pop()
        parts[-1].append((place, value))
    most = max(2, TOLD // len(parts))
    return tuple(_segment(_thinned(part, most)) for part in parts[-TOLD:] if part)


def _segment(part: Sequence[tuple[float, float]]) -> Segment:
    return Segment(
        tuple(place for place, _ in part), tuple(value if math.isfinite(value) else None for _, value in part)
    )


def _thinned(part: Sequence[tuple[float, float]], most: int) -> Sequence[tuple[float, float]]:
    """At most about that many of them, the first and the last among these."""
    if len(part) <= most:
        return part
    return [part[round(at * (len(part) - 1) / (most - 1))] for at in range(most)]
