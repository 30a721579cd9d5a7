"""How far clocks are apart, out of questions and answers that took their time on the way: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen


@frozen
class Reading:
    """One look at a node's clock: it said `said` at some moment between `asked` and `heard` of the head's clock. All in
    seconds since the epoch."""

    asked: float
    said: float
    heard: float


@frozen
class Offset:
    """A node's clock is ahead of the head's by `low` seconds at least and `high` at most; negative is behind it."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """The likeliest value."""
        return (self.low + self.high) / 2

    def away(self, from_s: float) -> float:
        """How far it is from `from_s` at least, with the sign of the direction; 0.0 where it may be there."""
        if self.low > from_s:
            return self.low - from_s
        return min(self.high - from_s, 0.0)


HEAD = Offset(0.0, 0.0)
"""The head's own."""


def offset(readings: Iterable[Reading]) -> Offset:
    """What several looks at a clock tell together: the quickest one, as an answer that was long on its way tells
    little. ValueError without any."""
    quickest = min(readings, key=lambda each: each.heard - each.asked)
    return Offset(quickest.said - quickest.heard, quickest.said - quickest.asked)


def common(offsets: Mapping[str, Offset]) -> float:
    """The time that most nodes have, ahead of the head's by so many seconds: the median; of an even number the one of
    the two in the middle that is nearer to the head, so that of two nodes the head is believed."""
    middles = sorted(each.middle for each in offsets.values())
    if not middles:
        return 0.0
    return min(middles[(len(middles) - 1) // 2], middles[len(middles) // 2], key=abs)


def skews(offsets: Mapping[str, Offset]) -> dict[str, float]:
    """By how many seconds each clock is off what most nodes have, at least; positive is ahead, and 0.0 one that may be
    right: how long the answers took is on its side."""
    time = common(offsets)
    return {node: each.away(time) for node, each in offsets.items()}
