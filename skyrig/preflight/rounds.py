"""Who is measured with whom: a tournament in which each pair meets once, and as many pairs at once as there can be."""

from __future__ import annotations

Pair = tuple[int, int]
"""Two members, by their numbers, the lower one first."""


def tournament(count: int, most: int | None = None) -> tuple[tuple[Pair, ...], ...]:
    """Rounds of disjoint pairs of `count` members, in which each pair meets exactly once: count - 1 of them, or count
    where that is odd and each member rests once. With `most` the first so many rounds: each member then has met so many
    others, or one less."""
    seats: list[int | None] = list(range(count))
    if count % 2:
        seats.append(None)
    rounds = []
    for _ in range(len(seats) - 1):
        half = len(seats) // 2
        met = zip(seats[:half], reversed(seats[half:]), strict=True)
        rounds.append(tuple((min(a, b), max(a, b)) for a, b in met if a is not None and b is not None))
        seats = [seats[0], seats[-1], *seats[1:-1]]
    return tuple(rounds[:most])
