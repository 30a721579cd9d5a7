"""A picture as panels, which the terminal and files draw alike: lines over an axis, in units that read well."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from statistics import median

from attrs import frozen

from skyrig.plots import names
from skyrig.plots.values import Curve, NodeUse, Picture, Segment, Training

MOST_NODES = 8
"""So many nodes have a line of their own; of more the median is drawn, with the lowest and the highest."""

_GAP = 3.0
"""Two samples that are further apart than so many times the usual are not joined."""

_BYTES = (("kB", 1e3), ("MB", 1e6), ("GB", 1e9))
_TIMES = (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("days", 86400.0))


@frozen
class Line:
    """One line: its `label`, the number of its colour, its stretches. One that is `faint` is drawn beside others."""

    label: str
    colour: int
    segments: tuple[Segment, ...]
    faint: bool = False


@frozen
class Panel:
    """One diagram. `marks` are places on the axis with what happened there; one `from_zero` begins at 0. `place` and
    `unit` say what the axes count."""

    title: str
    unit: str
    place: str
    lines: tuple[Line, ...]
    marks: tuple[tuple[float, str], ...] = ()
    from_zero: bool = False

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def across(self) -> tuple[float, float]:
        """From where to where the axis goes."""
        places = [x for line in self.lines for each in line.segments for x in each.x]
        return _widened(min(places), max(places)) if places else (0.0, 1.0)

    @property
    def upright(self) -> tuple[float, float]:
        """From which value to which."""
        values = [y for line in self.lines for each in line.segments for y in each.y if y is not None]
        if not values:
            return (0.0, 1.0)
        low, high = (min(0.0, *values), max(values)) if self.from_zero else (min(values), max(values))
        return _widened(low, high)


def panels(picture: Picture) -> tuple[Panel, ...]:
    """All that a picture shows."""
    return (*_of_training(picture.training), *_of_nodes(picture))


def _of_training(training: Training) -> Iterator[Panel]:
    place = {"line": "reports"}.get(training.axis, training.axis)
    marks = tuple((each.x, each.what) for each in training.marks)
    rates = [curve for name in names.THROUGHPUTS if (curve := training.curve(name))]
    shown = next((curve.name for curve in sorted(rates, key=lambda curve: curve.count < 2)), None)
    for title, unit, wanted in (
        ("loss", "", (names.LOSS, names.VAL_LOSS)),
        ("throughput", shown or "", (shown,)),
        ("learning rate", "", (names.RATE,)),
    ):
        curves = [curve for name in wanted if name and (curve := training.curve(name))]
        if curves:
            lines = tuple(_line(curve, number) for number, curve in enumerate(curves))
            yield Panel(title, unit, place, lines, marks, from_zero=title != "loss")


def _line(curve: Curve, number: int) -> Line:
    return Line(curve.name, number, curve.segments)


Gauge = tuple[str, str, tuple[str, ...]]

_GAUGES: tuple[Gauge, ...] = (
    ("GPU use", "%", ("gpu",)),
    ("GPU memory", "GiB", ("gpu_memory",)),
    ("GPU power", "W", ("gpu_power",)),
    ("CPU use", "cores", ("cpu",)),
    ("memory", "GiB", ("memory",)),
    ("network, received and sent", "B/s", ("received", "sent")),
    ("disk, read and written", "B/s", ("read", "written")),
)


def _of_nodes(picture: Picture) -> Iterator[Panel]:
    spent = max((use.at[-1] for use in picture.nodes if use.at), default=0.0) - picture.since
    time_unit, second = _fitting(_TIMES, spent / 3)
    for title, unit, wanted in _GAUGES:
        uses = [(use, _sums(use, wanted)) for use in picture.nodes if any(name in use.gauges for name in wanted)]
        values = [value for _, all_of_it in uses for value in all_of_it if value is not None]
        if not values or (wanted[0] != "gpu" and not any(values)):
            continue
        shown, scale = unit, 1.0
        if unit == "GiB":
            scale = 2.0**30
        elif unit == "B/s":
            named, scale = _fitting(_BYTES, max(values))
            shown = f"{named}/s"
        lines = _lines(uses, picture.since, second, scale)
        yield Panel(title, shown, f"time ({time_unit})", lines, from_zero=True)


def _fitting(units: Sequence[tuple[str, float]], most: float) -> tuple[str, float]:
    """The largest unit of which there is one at least; else the smallest."""
    return next((each for each in reversed(units) if most >= each[1]), units[0])


def _sums(use: NodeUse, wanted: Sequence[str]) -> list[float | None]:
    """Values of several gauges together; None where one is not known."""
    columns = [use.gauges[name] for name in wanted if name in use.gauges]
    found: list[float | None] = []
    for row in zip(*columns, strict=True):
        known = [value for value in row if value is not None]
        found.append(sum(known) if len(known) == len(row) else None)
    return found


def _lines(
    uses: Sequence[tuple[NodeUse, Sequence[float | None]]], since: float, second: float, scale: float
) -> tuple[Line, ...]:
    if len(uses) > MOST_NODES:
        return _summed_up(uses, since, second, scale)
    return tuple(
        Line(use.node, number, _stretches([(at - since) / second for at in use.at], values, scale))
        for number, (use, values) in enumerate(uses)
    )


def _stretches(places: Sequence[float], values: Sequence[float | None], scale: float) -> tuple[Segment, ...]:
    """One line, broken where samples are missing."""
    usual = median([b - a for a, b in pairwise(places)] or [0.0])
    parts: list[list[int]] = [[]]
    for at, place in enumerate(places):
        if at and place - places[at - 1] > _GAP * usual:
            parts.append([])
        parts[-1].append(at)
    scaled = [None if value is None else value / scale for value in values]
    return tuple(Segment(tuple(places[at] for at in part), tuple(scaled[at] for at in part)) for part in parts)


def _summed_up(
    uses: Sequence[tuple[NodeUse, Sequence[float | None]]], since: float, second: float, scale: float
) -> tuple[Line, ...]:
    """The lowest, the median and the highest of many nodes, by times that hold a sample or so of each."""
    steps = [b - a for use, _ in uses for a, b in pairwise(use.at)]
    width = max(1.0, 1.5 * median(steps or [1.0]))
    held: dict[int, list[float]] = {}
    for use, values in uses:
        for at, value in zip(use.at, values, strict=True):
            if value is not None:
                held.setdefault(int((at - since) / width), []).append(value)
    places = [(number + 0.5) * width / second for number in sorted(held)]

    def line(label: str, colour: int, of: Callable[[list[float]], float], *, faint: bool) -> Line:
        return Line(label, colour, _stretches(places, [of(held[each]) for each in sorted(held)], scale), faint)

    return (
        line("highest", 1, max, faint=True),
        line("lowest", 1, min, faint=True),
        line(f"median of {len(uses)} nodes", 0, median, faint=False),
    )


def _widened(low: float, high: float) -> tuple[float, float]:
    """The same range, or where it is none one around it."""
    if high > low:
        return low, high
    around = abs(low) * 0.1 or 1.0
    return low - around, high + around


def told(value: float) -> str:
    """A number for an axis: short, and with the digits that matter."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    if abs(value) >= 1e6 or abs(value) < 1e-3:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e+").replace("e+", "e")
    if abs(value) >= 1e4:
        return f"{value / 1e3:.4g}k"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.4g}"


def superseded(line: Line) -> tuple[Segment, ...]:
    """The ends of its stretches that the run went back from, and did again: each with the point before them."""
    found = []
    for each, kept in _kept(line):
        if kept < len(each.x):
            begin = max(0, kept - 1)
            found.append(Segment(each.x[begin:], each.y[begin:]))
    return tuple(found)


def standing(line: Line) -> tuple[Segment, ...]:
    """The rest of its stretches: what the run in the end was."""
    return tuple(Segment(each.x[:kept], each.y[:kept]) for each, kept in _kept(line) if kept)


def _kept(line: Line) -> Iterator[tuple[Segment, int]]:
    """Each stretch, and how many of its points stand: those before the place to which any later one went back."""
    back = math.inf
    found = []
    for each in reversed(line.segments):
        found.append((each, bisect_left(each.x, back)))
        back = min(back, *each.x[:1])
    return reversed(found)
