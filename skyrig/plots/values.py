"""What is drawn, as values: curves over the steps of a training run, marks on that axis, and the use of nodes over
time. A number that is none (NaN, infinite) is None: the curve has a gap there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

AXES = ("step", "epoch", "line")
"""What curves are drawn over: steps, else epochs, else the lines that had numbers, counted from 1."""


@frozen
class Segment:
    """A stretch in which the axis only goes forward: places on it, and a value for each."""

    x: tuple[float, ...]
    y: tuple[float | None, ...]


@frozen
class Curve:
    """One number over the run. `name` is one of `names.KNOWN`; a run that went back (a recovery from a checkpoint) has
    several segments."""

    name: str
    segments: tuple[Segment, ...]

    @property
    def unit(self) -> str:
        """What its values are counted in; "" for a plain number."""
        return self.name if self.name.endswith("/s") else ""

    @property
    def count(self) -> int:
        """How many points it has."""
        return sum(len(each.x) for each in self.segments)


@frozen
class Mark:
    """Something that happened at a place of the axis: `what` is one of `marks.KNOWN`."""

    x: float
    what: str


@frozen
class Training:
    """All that was found out about a run."""

    axis: str = "step"
    curves: tuple[Curve, ...] = ()
    marks: tuple[Mark, ...] = ()

    def curve(self, name: str) -> Curve | None:
        """The curve of that name, if there is one."""
        return next((each for each in self.curves if each.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "axis": self.axis,
            "curves": [
                {
                    "name": curve.name,
                    "unit": curve.unit,
                    "segments": [{"x": list(each.x), "y": list(each.y)} for each in curve.segments],
                }
                for curve in self.curves
            ],
            "marks": [{"x": each.x, "what": each.what} for each in self.marks],
        }


@frozen
class NodeUse:
    """What one node was used for: `at` in seconds since the epoch, and by the names of `samples.GAUGES` a value for
    each of these moments (None: not known)."""

    node: str
    at: tuple[float, ...]
    gauges: Mapping[str, tuple[float | None, ...]]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"node": self.node, "at": list(self.at), **{name: list(each) for name, each in self.gauges.items()}}


@frozen
class Picture:
    """A job's picture: its `title`, what its log tells, and the use of its nodes since `since` (seconds since the
    epoch; 0 where no sample was taken)."""

    title: str
    training: Training = field(factory=Training)
    nodes: Sequence[NodeUse] = ()

    @property
    def since(self) -> float:
        """When the first sample was taken."""
        return min((each.at[0] for each in self.nodes if each.at), default=0.0)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be drawn."""
        return not self.training.curves and not any(each.at for each in self.nodes)
