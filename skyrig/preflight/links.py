"""Which member's link is slow, out of what pairs were measured to reach: pure functions.

A pair is as slow as the slower of its two links. So the best pair that a member is in tells of its own link, and what
is right for a link is what the better half of the members reach in their best pairs: that holds while fewer than half
of the links are slow, and with two members nothing can be told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skyrig.preflight.rounds import Pair

SLOW_SHARE = 0.5
"""A link with less than this share of what is right is slow. Pairs of links that are equally good differ by much less
when they are measured at once."""

Rates = Mapping[Pair, float]
"""What each pair reached, in bytes a second."""


def best(rates: Rates) -> dict[int, float]:
    """What each member reached in its best pair."""
    found: dict[int, float] = {}
    for pair, rate in rates.items():
        for member in pair:
            found[member] = max(rate, found.get(member, 0.0))
    return found


def right(rates: Rates) -> float:
    """What a link should reach: the median of the members' best pairs, of an even number the higher one of the two in
    the middle; 0.0 where nothing was measured."""
    each = sorted(best(rates).values())
    return each[len(each) // 2] if each else 0.0


def slow(rates: Rates, share: float = SLOW_SHARE) -> tuple[int, ...]:
    """The members whose link is slow, all pairs of theirs being below `share` of what is right. None where fewer than
    three members were measured: of two, nobody can tell which it is."""
    each = best(rates)
    return (
        tuple(sorted(member for member, rate in each.items() if rate < share * right(rates))) if len(each) > 2 else ()
    )


def confirmed(of_suspect: Sequence[float], of_others: Sequence[float], share: float = SLOW_SHARE) -> bool:
    """Whether a link is slow for good: what it reached at best when it was measured alone, again and again, against
    what others reached in the same minutes, alone too: not once, which may be luck on a busy machine, but twice."""
    return max(of_suspect) < share * twice(of_others)


def twice(rates: Sequence[float]) -> float:
    """The most that was reached two times; of a single measurement what that was."""
    return sorted(rates)[-2:][0]
