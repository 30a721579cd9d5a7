"""Accelerators in every form that task files write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

from skyrig.task.node import Node

_MEMORY = re.compile(r"([0-9]+)([gmt])b(\+?)", re.IGNORECASE)
_NAME = re.compile(r"[^\s:,{}]+")


@frozen
class Accelerator:
    """One kind and how many of it a node shall have; a fraction is a share of one. A name in pointed brackets stands
    for all kinds of so much memory, `<nvidia~40GB+>`, which the catalog knows."""

    name: str
    count: int | float = 1

    def __str__(self) -> str:
        return f"{self.name}:{self.count}"


@frozen
class Candidates:
    """Accelerators of which any one will do, the first ones before the others where they are `ordered`."""

    each: tuple[Accelerator, ...] = ()
    ordered: bool = False


def read(node: Node) -> Candidates:
    """From `A100:8`, `{A100: 8}`, `{A100:1, L4:1}`, `[H100:8, A100:8]`, `80GB+`, `nvidia:40GB+:4`, and from several
    with only blanks between them, which is mended."""
    if node.data in ([], {}):
        raise node.wrong("is empty; leave it out for none")
    if isinstance(node.data, str):
        words = re.split(r"[\s,]+", node.data.strip())
        if len(words) > 1 and all(":" in word for word in words):
            shown = ", ".join(words)
            node.problems.mend(node.where, node.path, f"a space or a dash is missing; taken as any one of {shown}")
            return Candidates(_once(one for word in words for one in _parsed(node, word)))
        return Candidates(tuple(_parsed(node, node.data)))
    if isinstance(node.data, list):
        found = [one for each in node.data for one in _parsed(each, each.text())]
        return Candidates(_once(found), ordered=True)
    return Candidates(_once(one for name, count in node.fields().items() for one in _counted(name, count)))


def one(node: Node) -> Candidates:
    """The same inside `any_of` and `ordered`, where a candidate names one kind."""
    if isinstance(node.data, list) or (isinstance(node.data, dict) and len(node.data) > 1):
        raise node.wrong("one kind is wanted here, for instance A100:8; write a candidate each")
    return read(node)


def parse(text: str) -> Accelerator:
    """`NAME` or `NAME:COUNT`; ValueError says what is wrong."""
    name, colon, amount = text.strip().partition(":")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{text!r}: NAME or NAME:COUNT is wanted, for instance A100:8")
    return Accelerator(name, _count(text, amount) if colon else 1)


def _counted(name: str, node: Node) -> Sequence[Accelerator]:
    if node.is_null:
        return _parsed(node, name)
    return _parsed(node, f"{name}:{node.number()}")


def _parsed(node: Node, text: str) -> Sequence[Accelerator]:
    try:
        by_memory = _by_memory(text)
        return [by_memory or parse(text)]
    except ValueError as error:
        raise node.wrong(str(error)) from None


def _by_memory(text: str) -> Accelerator | None:
    """An accelerator that is asked for by its memory: [MAKER:]MEMORY[:COUNT]. None where it is asked for by name."""
    words = text.strip().split(":")
    places = [number for number, word in enumerate(words) if _MEMORY.fullmatch(word)]
    if not places or places[0] > 1 or len(words) > places[0] + 2:
        return None
    maker = words[0] if places[0] else None
    amount, unit, plus = _MEMORY.fullmatch(words[places[0]]).groups()  # type: ignore[union-attr]
    gb = int(amount) * {"m": 1 / 1024, "g": 1, "t": 1024}[unit.lower()]
    if gb < 1 or gb != int(gb):
        raise ValueError(f"{text!r}: memory in whole GB is wanted, for instance 80GB+")
    rest = words[places[0] + 1 :]
    return Accelerator(f"<{maker or 'any'}~{int(gb)}GB{plus}>", _count(text, rest[0]) if rest else 1)


def _count(text: str, amount: str) -> int | float:
    try:
        count = float(amount)
    except ValueError:
        count = 0.0
    if not 0 < count < 1e6:
        raise ValueError(f"{text!r}: a count above 0 is wanted, for instance A100:8")
    return int(count) if count.is_integer() else count


def _once(found: object) -> tuple[Accelerator, ...]:
    return tuple(dict.fromkeys(found))  # type: ignore[call-overload]
