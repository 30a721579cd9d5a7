"""The field `resources.autostop`, and the hooks of `config.hooks`."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from skyrig.cluster.autostop import WAITS
from skyrig.task import quantities
from skyrig.task.node import Node, one_word

EVENTS = ("stop", "preemption", "down")
"""When a hook runs."""

HOOK_TIMEOUT_S = 3600
"""How long a hook may take where it does not say, in seconds (SkyPilot 0.14.1)."""

_MOST_HOOKS = 32
_LONGEST_HOOK = 16 * 1024


@frozen
class Autostop:
    """Stop a cluster, or take it down, after `idle_minutes` without work; not at all where not `enabled`."""

    enabled: bool = True
    idle_minutes: int = 0
    down: bool = False
    wait_for: str | None = None


@frozen
class Hook:
    """Bash that runs on the head before a cluster stops, goes down or is preempted; `timeout` in seconds."""

    run: str
    events: tuple[str, ...] = EVENTS
    timeout: int = HOOK_TIMEOUT_S


def read(node: Node) -> tuple[Autostop, Hook | None]:
    """`false`, `true` (0 minutes), `10`, `10m`, `2h`, or a mapping; with the hook of its older form."""
    if isinstance(node.data, bool):
        return Autostop(enabled=node.data), None
    if not isinstance(node.data, dict):
        return Autostop(idle_minutes=quantities.minutes(node)), None
    given = node.read_fields(
        {
            "idle_minutes": lambda each: each.whole(0),
            "down": Node.switch,
            "wait_for": one_word(WAITS),
            "hook": Node.text,
            "hook_timeout": lambda each: each.whole(1),
        }
    )
    text, timeout = given.pop("hook", None), given.pop("hook_timeout", HOOK_TIMEOUT_S)
    if text is None:
        return Autostop(**given), None
    node.problems.warn(node.where, f"{node.path}.hook", "is an older form of config.hooks, and taken as that")
    return Autostop(**given), Hook(text, ("down" if given.get("down") else "stop",), timeout)


def hooks(node: Node) -> tuple[Hook, ...]:
    """The list `config.hooks`."""
    if len(node.items()) > _MOST_HOOKS:
        raise node.wrong(f"{_MOST_HOOKS} hooks at most")
    return tuple(each.read(_hook, Hook("")) for each in node.items())


def _hook(node: Node) -> Hook:
    given: dict[str, Any] = node.read_fields(
        {"run": _hook_text, "events": _events, "timeout": lambda each: each.whole(1)}
    )
    if "run" not in node.fields():
        raise node.wrong("`run` is missing")
    return Hook(**{"run": "", **given})


def _hook_text(node: Node) -> str:
    if not 0 < len(node.text()) <= _LONGEST_HOOK:
        raise node.wrong("1 to 16384 characters are wanted; put longer ones into a file of the workdir")
    return node.text()


def _events(node: Node) -> tuple[str, ...]:
    words = [each.text() for each in node.items()]
    for each in node.items():
        if each.data not in EVENTS:
            raise each.wrong(f"{each.shown} is none of {', '.join(EVENTS)}")
    if not words or len(set(words)) < len(words):
        raise node.wrong("each event once, at least one")
    return tuple(words)
