"""Names of accelerators: in any case, as a part of a name that fits one alone, or by their memory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from skyrig.catalog import facts, stock
from skyrig.catalog.table import Table
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.task.accelerators import Accelerator

_BY_MEMORY = re.compile(r"<(.+)~(\d+)GB(\+?)>")


def named(name: str, table: Table, clouds: Iterable[str]) -> tuple[str, ...]:
    """The accelerators of these clouds that a name stands for, in lower case; none where none of them has it. What is
    the whole name of one accelerator, whoever has it, is not taken for a part of another's. BadInput for a part of
    several names."""
    among = tuple(clouds)
    known = {each.lower(): each for cloud in among for each in stock.names(table, cloud)}
    asked = name.lower()
    if by_memory := _BY_MEMORY.fullmatch(name):
        return tuple(each for each in known if _has(known[each], by_memory[1], int(by_memory[2]), bool(by_memory[3])))
    if any(asked in stock.by_accelerator(table, cloud) for cloud in table.clouds) or asked in _whole():
        return (asked,) if any(asked in stock.by_accelerator(table, cloud) for cloud in among) else ()
    parts = sorted(each for each in known if asked in each)
    if len(parts) > 1:
        shown = ", ".join(known[each] for each in parts)
        raise BadInput(f"accelerator {name}: several names have that in them ({shown})", hint="name one of them")
    return tuple(parts)


def _whole() -> set[str]:
    return {each.lower() for each in facts.common("accelerators")["accelerators"]}


def nearest(name: str, table: Table, clouds: Iterable[str]) -> str:
    """The accelerator that is most likely meant by a name that nobody knows; "" where none is near."""
    import difflib

    known = {each.lower(): each for cloud in clouds for each in stock.names(table, cloud)}
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return known[near[0]] if near else ""


def is_by_memory(asked: Accelerator) -> bool:
    """Whether an accelerator is asked for by its memory."""
    return _BY_MEMORY.fullmatch(asked.name) is not None


def said(asked: Accelerator) -> str:
    """What is asked for, in words."""
    by_memory = _BY_MEMORY.fullmatch(asked.name)
    if by_memory is None:
        return f"{asked.name}:{asked.count:g}"
    maker = "" if by_memory[1] == "any" else f"{by_memory[1]} "
    return f"{asked.count:g} {maker}of {by_memory[2]}GB{by_memory[3]}"


def _has(name: str, maker: str, gb: int, more: bool) -> bool:
    """Whether an accelerator is of a maker ("any": a GPU's) and has so much memory, or more."""
    known = facts.common("accelerators")
    its_maker, its_gb = known["accelerators"].get(name, ("", 0))
    makers = known["gpus"] if maker == "any" else [maker.lower()]
    return its_maker in makers and (its_gb >= gb if more else its_gb == gb)
