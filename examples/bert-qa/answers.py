"""Answers as stretches of a context: what to learn from, and what a model says, in SQuAD's form.

A context that is too long for the model is cut into windows that overlap; the answer is the best one in any of them.
"""

import re
import string
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

LONGEST = 30
"""Tokens of an answer at most."""
TRIED = 20
"""So many starts and ends of each window are tried with one another."""


class Windows:
    """Cuts rows of a data set into windows of `length` tokens, of which neighbours share `shared`."""

    def __init__(self, tokenizer: Any, length: int, shared: int) -> None:
        self._tokenizer, self._length, self._shared = tokenizer, length, shared

    def to_learn(self, rows: dict[str, list[Any]]) -> Any:
        """With the first and last token of the answer; both are the first of all where the window lacks it."""
        cut = self._cut(rows)
        offsets, whose = cut.pop("offset_mapping"), cut.pop("overflow_to_sample_mapping")
        spans = [_span(cut.sequence_ids(at), offsets[at], rows["answers"][row]) for at, row in enumerate(whose)]
        cut["start_positions"], cut["end_positions"] = [list(each) for each in zip(*spans, strict=True)]
        return cut

    def to_ask(self, rows: dict[str, list[Any]]) -> Any:
        """With the row that each is of, and where its tokens stand in the context (-1: elsewhere)."""
        cut = self._cut(rows)
        cut["id"] = [rows["id"][row] for row in cut.pop("overflow_to_sample_mapping")]
        cut["offset_mapping"] = [
            [place if part == 1 else (-1, -1) for place, part in zip(places, cut.sequence_ids(at), strict=True)]
            for at, places in enumerate(cut["offset_mapping"])
        ]
        return cut

    def _cut(self, rows: dict[str, list[Any]]) -> Any:
        return self._tokenizer(
            [each.lstrip() for each in rows["question"]], rows["context"], truncation="only_second",
            max_length=self._length, stride=self._shared, return_overflowing_tokens=True, return_offsets_mapping=True,
        )  # fmt: skip


def _span(parts: Sequence[int | None], places: Sequence[tuple[int, int]], answers: dict[str, Any]) -> tuple[int, int]:
    first = answers["answer_start"][0]
    last = first + len(answers["text"][0])
    inside = [at for at, part in enumerate(parts) if part == 1]
    if not inside or places[inside[0]][0] > first or places[inside[-1]][1] < last:
        return 0, 0
    start = max(at for at in inside if places[at][0] <= first)
    return start, min(at for at in inside if places[at][1] >= last)


def read(rows: Iterable[dict[str, Any]], windows: Iterable[dict[str, Any]], said: tuple[Any, Any]) -> dict[str, str]:
    """The answer to each row, by id, out of the numbers that the model gave each token as `said` start and end."""
    best: dict[str, tuple[float, int, int]] = defaultdict(lambda: (float("-inf"), 0, 0))
    for window, starts, ends in zip(windows, *said, strict=True):
        places = window["offset_mapping"]
        top = [
            [int(at) for at in each.argsort()[-TRIED:] if at < len(places) and places[at][0] >= 0]
            for each in (starts, ends)
        ]
        for start in top[0]:
            for end in top[1]:
                if start <= end < start + LONGEST:
                    found = (float(starts[start] + ends[end]), places[start][0], places[end][1])
                    best[window["id"]] = max(best[window["id"]], found)
    return {row["id"]: row["context"][slice(*best[row["id"]][1:])] for row in rows}


def score(rows: Iterable[dict[str, Any]], answers: dict[str, str]) -> tuple[float, float]:
    """Shares of answers that are exactly right, and of words that are (F1): against the nearest right one of each."""
    pairs = [(answers[row["id"]], row["answers"]["text"]) for row in rows]
    exact = [max(_plain(given) == _plain(right) for right in all_right) for given, all_right in pairs]
    words = [max(_f1(_plain(given), _plain(right)) for right in all_right) for given, all_right in pairs]
    return sum(exact) / len(pairs), sum(words) / len(pairs)


def _plain(text: str) -> list[str]:
    kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", kept).split()


def _f1(given: list[str], right: list[str]) -> float:
    shared = sum((Counter(given) & Counter(right)).values())
    return 2 * shared / (len(given) + len(right)) if shared else float(given == right)
