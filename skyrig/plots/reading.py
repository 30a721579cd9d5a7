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
    r"(?<![\w.])([-+]?(?:(?:\d{1,3}(?:[,_]\d{3})+(?![\d,_])|\d+)(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?"
    r"|(?i:nan|inf(?:inity)?)\b))"
)
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BETWEEN = " \t\"':=[({|)#*>-\N{RIGHTWARDS ARROW}\N{FULLWIDTH COLON}"
"""What may stand between a name and its number."""
_WRAPPED = re.compile(r"\b(?:\w+\.)*(?:tensor|array|float\d*|bfloat16)$", re.IGNORECASE)
"""And as what a number is printed: `tensor(2.5)`, `np.float64(2.5)`."""
_CUT = re.compile(r"[^A-Za-z0-9 _/.\-()]+")
_UNIT = re.compile(r"\s?([A-Za-z]+(?:/[A-Za-z]+|(?: per |_per_)[A-Za-z]+)?)")
_THOUSANDS = re.compile(r"([kKMG])(?![A-Za-z0-9_=])| ?([kKMG]) ?(?=[a-z]{2,}(?:/| per |_per_))")
_MANY = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_TIMES = {"ms": names.MILLISECONDS, "s": names.SECONDS, "sec": names.SECONDS}
_BAR = re.compile(
    r"(?<![\d/])(\d+)/(\d+) (?:\[\d+:\d\d|\[[=>.]|[\N{BOX DRAWINGS HEAVY HORIZONTAL}\N{BOX DRAWINGS LIGHT HORIZONTAL}"
    r"\N{BOX DRAWINGS HEAVY LEFT}]|\d+:\d\d:\d\d \N{BULLET}|- \d+m?s - )"
)
_SHARE = re.compile(
    r"(?:epoch|\btrain:)(?:\(train\))?[:\s=]{0,9}\[?\s{0,9}(\d+)(?:\s?/\s?\d+)?[\]\s:,|\[(]{1,19}(\d+)\s?/\s{0,9}(\d+)(?!\d|\s?/)",
    re.IGNORECASE,
)
"""How far an epoch has come: `Epoch: [0][ 10/5005]`, `epoch 001:  450 / 1891`, `Train Epoch: 1 [640/60000 (1%)]`."""
_HEADER = re.compile(r"\s*epoch:?\s*\[?(\d+)\s*/\s*\d+\]?\s*:?\s*", re.IGNORECASE)
_DATA = re.compile(
    r"\btrain(?:ing)?\b|(?:^|[\s\[(|>{\"'=])(test(?:ing)?|val|valid|validat\w*|eval|evaluat\w*)(?=[\s:\])|,\"'])",
    re.IGNORECASE,
)
"""What says before a loss of which data it is, other ones than those of the training as the group: `Test set: Average
loss: 0.2`, `INFO - validate step: 15 loss: 3.2`, `Train: loss 2.0 Val: loss 2.2`. The last one counts."""
_OTHERS = {
    names.LOSS: frozenset({"aux", "auxiliary", "balance", "balancing", "router", "z", "kl", "policy", "value", "vf",
                           "best", "lowest", "min", "minimum", "final"}),
    names.VAL_LOSS: frozenset({"best", "lowest", "min", "minimum", "final"}),
    names.STEP: frozenset({"total", "max", "maximum", "num", "warmup", "per", "every", "save", "logging", "remaining",
                           "decay", "accumulation", "best"}),
    names.EPOCH: frozenset({"total", "max", "maximum", "num", "per", "every", "best"}),
}  # fmt: skip
"""Words that make another number of it: `aux loss 0.1` is no training loss, `warmup steps 100` no step."""
_FARTHEST = 1e15
"""No run has so many steps."""
_CURVES = frozenset(names.KNOWN)
_ITS_OWN = ("epoch", "train", "step", "iter", "loss")
"""What stands before a bar of training, if anything does; others are of downloads, of data, of evaluation."""
_NOT_ITS_OWN = re.compile(r"\b(?:val|eval|test)")
_PLURAL = ("steps", "iters", "iterations")
"""`steps: 1000` may be how many there will be."""
_TIME = "time"
_SUMMARY = "wandb:"
"""How lines begin that tell at the end of a run what was told before."""


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
    if not wanted or text.startswith(_SUMMARY):
        return None
    found = {}
    for name, at, times in wanted:
        number = parts[at]
        found[name] = times * float(number.replace(",", "") if "," in number else number)
    bar = _bar(text) if "/" in text else None
    if bar is not None and (bar[0] == 0 or not _is_of_training(text)):  # one that begins shows what was before it
        return None
    step, epoch = (_place(found.pop(name, None)) for name in (names.STEP, names.EPOCH))
    if not found.keys() <= _CURVES:
        found = _curves(found)
    if not found:
        return None
    if bar is not None:
        return Reading(found, float(bar[0]), epoch, bar[1])
    if step is None and "/" in text and (share := _SHARE.search(text)) and float(share[2]) <= float(share[3]) > 0:
        epoch = _place(float(share[1]) + float(share[2]) / float(share[3]))
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
    return not words.strip() or (any(own in words for own in _ITS_OWN) and not _NOT_ITS_OWN.search(words))


@lru_cache(maxsize=4096)
def _wanted(between: tuple[str, ...]) -> tuple[tuple[str, int, float], ...]:
    """The known names in a line, given what stands between its numbers, with the places of these among its parts, and
    how many times what they say they mean (`1.2k`); the first of a name, but `total loss` rather than `cls loss`. A
    program prints few forms of lines, so this is worked out a few times alone."""
    found: dict[str, int] = {}
    vague: dict[str, int] = {}
    held_out = False
    for at, before in enumerate(between[:-1]):
        if at and before == "/":
            continue
        name, sure = _name(before, between[at + 1])
        if name == names.LOSS and _is_held_out(between[: at + 1]):
            name, held_out = names.VAL_LOSS, True
        if name is not None:
            (found if sure else vague).setdefault(name, at)
    if {names.LOSS, names.VAL_LOSS} & {*found, *vague}:
        found = {**vague, **found}
    if held_out and names.LOSS not in found:
        found = {name: at for name, at in found.items() if name in (names.STEP, names.EPOCH, names.VAL_LOSS)}
    if not found.keys() - {names.STEP, names.EPOCH}:
        return ()
    return tuple((name, 2 * at + 1, _times(name, between[at + 1])) for name, at in found.items())


def _name(before: str, after: str) -> tuple[str | None, bool]:
    """The known name of a number between these texts; and whether that is sure, or only so beside a loss."""
    name, sure = _named(before[-100:])
    unit = _word(after[:6])
    if name in (names.STEP, names.SECONDS) and unit in _TIMES:
        return _TIMES[unit], sure  # `Step: 50ms`
    if name is None and (counted := _counted(after[:40])):
        return counted, True
    if name is None and re.match(r"/s\b", after):
        return names.SAMPLES, False  # timm's `2547.26/s`
    if name == _TIME:
        return (names.MILLISECONDS, False) if unit == "ms" else (None, False)
    return name, sure


def _is_held_out(before: tuple[str, ...]) -> bool:
    said = [each[1] for each in _DATA.finditer(" 0 ".join(before))]
    return bool(said and said[-1])


def _times(name: str, after: str) -> float:
    many = _THOUSANDS.match(after) if name in (names.STEP, *names.THROUGHPUTS) else None
    return _MANY[many[1] or many[2]] if many else 1.0


def _named(before: str) -> tuple[str | None, bool]:
    """The known name that the text before a number ends with, and whether it is sure."""
    text = before.rstrip(_BETWEEN)
    if "(" in before[len(text) :] and (wrapped := _WRAPPED.search(text)):
        text = text[: wrapped.start()].rstrip(_BETWEEN)
    if not text or not (text[-1].isalpha() or text[-1] == "_"):
        return None, False
    words = [word.strip("/.-") for word in _CUT.split(text)[-1].split()][-5:]
    for first in range(len(words)):
        found = names.meaning(" ".join(words[first:]))
        if found is None:
            continue
        if first and words[first - 1].lower() in _OTHERS.get(found, ()):
            return None, False
        vague = (found == names.LOSS and first and len(words) == first + 1) or words[-1].lower() in _PLURAL
        return found, not vague
    return (_TIME, False) if [word.lower() for word in words] == [_TIME] else (None, False)


def _counted(after: str) -> str | None:
    """The known name that the unit behind a number means: of a rate, or of the time that a step takes."""
    many = _THOUSANDS.match(after)
    found = _UNIT.match(after, many.end() if many else 0)
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
