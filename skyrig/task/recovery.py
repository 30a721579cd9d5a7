"""The field `resources.job_recovery`: how a managed job comes back after it lost its cluster, or failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from skyrig.task.node import Node, either

STRATEGIES = ("EAGER_NEXT_REGION", "FAILOVER")
"""Strategies that SkyPilot 0.14.1 has."""

NO_STRATEGY = "NONE"
"""The word `none`: the job does not come back after it lost its cluster."""

_MOST_CODE = 255


@frozen
class JobRecovery:
    """The `strategy` (None: the default one; NO_STRATEGY: none), how often a job that failed by itself is started
    again, and after which exit codes always. `recover_on_exit_codes` is as it was given, a number or a list. `more`
    holds fields that are not ours to know (of SkyPilot's plugins)."""

    strategy: str | None = None
    max_restarts_on_errors: int | None = None
    recover_on_exit_codes: int | tuple[int, ...] | None = None
    more: Mapping[str, Any] = field(factory=dict)


def read(node: Node) -> JobRecovery:
    """From the name of a strategy or a mapping."""
    if isinstance(node.data, dict):
        given = node.read_fields(
            {"strategy": _strategy, "max_restarts_on_errors": lambda each: each.whole(0),
             "recover_on_exit_codes": either(_code, _codes)},
            open_ended=True,
        )  # fmt: skip
        known = {
            key: given.pop(key)
            for key in ("strategy", "max_restarts_on_errors", "recover_on_exit_codes")
            if key in given
        }
        for key in given:
            place = node.fields()[key]
            node.problems.warn(place.where, place.path, "is not known and does nothing")
    else:
        known, given = {"strategy": _strategy(node)}, {}
    return JobRecovery(**known, more=given)


def by_flag(node: Node) -> JobRecovery:
    """From a word of the command line: the name of a strategy, or `none`."""
    return JobRecovery(node.one_of((*STRATEGIES, NO_STRATEGY)))


def _strategy(node: Node) -> str | None:
    if node.is_null:
        return None
    return node.text().upper() if node.text() == "none" or node.text().upper() != "NONE" else node.one_of(STRATEGIES)


def _code(node: Node) -> int | tuple[int, ...]:
    return node.whole(0, _MOST_CODE)


def _codes(node: Node) -> int | tuple[int, ...]:
    codes = tuple(each.whole(0, _MOST_CODE) for each in node.items())
    if len(set(codes)) < len(codes):
        raise node.wrong("each exit code once")
    return codes
