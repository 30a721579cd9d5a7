"""What was likely meant by a name that nothing has."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """The name that is nearest to `word`, whatever its case; of equally near ones the one with the same letters in
    another order. "" where none is near."""
    import difflib  # slow to import, and most names are right

    folded = word.casefold()
    by_folded = {each.casefold(): each for each in sorted(known)}
    near = difflib.get_close_matches(folded, by_folded, n=5)
    swapped = [each for each in near if sorted(each) == sorted(folded)]
    return by_folded[(swapped or near)[0]] if near else ""


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """A hint that asks for the nearest name; `otherwise` where none is near."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else otherwise
