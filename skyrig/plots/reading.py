"""One line of a log, or of a file of metrics, read: which known numbers it has.

Every number of a line has the words before it for its name (`loss: 2.3`, `'loss': '2.3'`, `lr=[0.001]`, `learning rate
1e-4`), else those behind it for its unit (`40.1it/s`, `5ms/step`). What is not known by `names` is passed over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from skyrig.plots import names

LONGEST = 4096
"""Characters of a line that are read; no program puts its loss behind so many."""

_HINTS = (b"loss", b"lr", b"learning", b"epoch", b"/s", b"sec", b"tps", b"tok", b"/it", b"ms", b"iter", b"grad", b"_s")
"""A line without any of these has none of the numbers."""

_NUMBER = re.compile(
    r"(?<![\w.])([-+]?(?:(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?"
    r"|(?i:nan|inf(?:inity)?)\b))"
)
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BETWEEN = " \t\"':=[({|)#*"
"""What may stand between a name and its number."""
_CUT = re.compile(r"[^A-Za-z0-9 _/.\-()]+")
_UNIT = re.compile(r"\s?([A-Za-z]+(?:/[A-Za-z]+|(?: per |_per_)[A-Za-z]+)?)")
_BAR = re.compile(r"(\d+)/(\d+) (?:\[\d+:\d\d|\[[=>.]|[━─╸])")
_SHARE = re.compile(r"\[(\d+)/(\d+) \(")
_HEADER = re.compile(r"\s*epoch:?\s*\[?(\d+)\s*/\s*\d+\]?\s*:?\s*", re.IGNORECASE)
_HELD_OUT = re.compile(r"\W*(?:test|valid|eval)[a-z]*\b", re.IGNORECASE)
"""How a line about other data than that of the training begins: `Test set: Average loss: 0.2`."""
_OTHER_LOSSES = frozenset({"aux", "auxiliary", "balance", "balancing", "router", "z", "kl", "policy", "value", "vf"})
"""`aux loss 0.1` is no training loss."""
_FARTHEST = 1e15
"""No run has so many steps."""
_CURVES = frozenset(names.KNOWN)
_ITS_OWN = ("epoch", "train", "step", "iter")
"""What stands before a bar of training, if anything does; others are of downloads, of data, of evaluation."""


class Reading(NamedTuple):
    """The known numbers of one line: the place on the axis as far as the line says it, and `values` by known name.
    `bar` is the total of a progress bar, 0 for any other line."""

    values: Mapping[str, float]
    step: float | None = None
    epoch: float | None = None
    bar: int = 0


def may_tell(line: bytes) -> bool:
    """Whether a line is worth to be read: quick, and true too often."""
    low = line.lower()
    return any(hint in low for hint in _HINTS)


def header(text: str) -> float | None:
    """The epoch that a line is the heading of (`Epoch 2/5`, as Keras prints it before the bar); None for others."""
    found = _HEADER.fullmatch(text[:80]) if text.lstrip()[:5].lower() == "epoch" else None
    return float(found[1]) if found else None


def read(text: str) -> Reading | None:
    """The known numbers of a line; None where it has none of those that make a curve."""
    text = text[:LONGEST]
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    parts = _NUMBER.split(text)
    wanted = _wanted(tuple(parts[::2]))
    if not wanted:
        return None
    found = {}
    for name, at in wanted:
        number = parts[at]
        found[name] = float(number.replace(",", "") if "," in number else number)
    bar = _bar(text) if "/" in text and ("[" in text or "%" in text or "━" in text) else None
    if bar is not None and not _is_of_training(text):
        return None
    if names.LOSS in found and _HELD_OUT.match(text):
        found.setdefault(names.VAL_LOSS, found.pop(names.LOSS))
    step, epoch = (_place(found.pop(name, None)) for name in (names.STEP, names.EPOCH))
    if not found.keys() <= _CURVES:
        found = _curves(found)
    if not found:
        return None
    if bar is not None:
        return Reading(found, float(bar[0]), epoch, bar[1])
    if epoch is not None and step is None and (share := _SHARE.search(text)) and float(share[2]):
        epoch += float(share[1]) / float(share[2])
    return Reading(found, step, epoch)


def _place(number: float | None) -> float | None:
    """A place on the axis; None for what is none."""
    return number if number is not None and abs(number) < _FARTHEST else None


def _bar(text: str) -> tuple[int, int] | None:
    """What a progress bar has done, and of how much."""
    found = _BAR.search(text)
    return (int(found[1][:15]), int(found[2][:15])) if found and found[2].strip("0") else None


def _is_of_training(text: str) -> bool:
    label = text[: text.find("%")].lower() if "%" in text else ""
    words = label.partition(":")[0] if ":" in label else ""
    return not words.strip() or (any(own in words for own in _ITS_OWN) and "valid" not in words)


@lru_cache(maxsize=4096)
def _wanted(between: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """The known names in a line, given what stands between its numbers, with the places of these among its parts; the
    first of a name. A program prints few forms of lines, so this is worked out a few times alone."""
    found: dict[str, int] = {}
    for at, before in enumerate(between[:-1]):
        name = _named(before[-100:]) or _counted(between[at + 1][:40])
        if name == "time":
            name = {"ms": names.MILLISECONDS, "s": names.SECONDS}.get(_word(between[at + 1][:4]))
        if name is not None and (at == 0 or before != "/"):
            found.setdefault(name, 2 * at + 1)
    return tuple(found.items()) if found.keys() - {names.STEP, names.EPOCH} else ()


def _named(before: str) -> str | None:
    """The known name that the text before a number ends with."""
    text = before.rstrip(_BETWEEN)
    if not text or not (text[-1].isalpha() or text[-1] == "_"):
        return None
    words = [word.strip("/.-") for word in _CUT.split(text)[-1].split()][-5:]
    for first in range(len(words)):
        found = names.meaning(" ".join(words[first:]))
        if found is not None:
            other = found == names.LOSS and first and words[first - 1].lower() in _OTHER_LOSSES
            return None if other else found
    return "time" if words and words[-1].lower() == "time" else None


def _counted(after: str) -> str | None:
    """The known name that the unit behind a number means: of a rate, or of the time that a step takes."""
    found = _UNIT.match(after)
    name = names.meaning(found[1]) if found else None
    return name if name in (*names.THROUGHPUTS, names.SECONDS, names.MILLISECONDS) else None


def _word(after: str) -> str:
    found = _UNIT.match(after)
    return found[1] if found else ""


def _curves(found: Mapping[str, float]) -> dict[str, float]:
    """Those that make curves, of all that a line has."""
    values = {name: found[name] for name in names.KNOWN if name in found}
    took = found.get(names.SECONDS, found.get(names.MILLISECONDS, 0.0) / 1000)
    if names.STEPS not in values and took > 0 and math.isfinite(took):
        values[names.STEPS] = 1 / took
    if names.RUNTIME in found:
        values.pop(names.LOSS, None)
    return values
