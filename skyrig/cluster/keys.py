"""Keys of a stack's config and the reading of their values: BadInput, one line, names the key."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

from attrs import frozen

from skyrig.errors import BadInput

NAMESPACE = "skyrig"
"""Project name, hence the namespace of its config keys (`skyrig:nodes`)."""


@frozen
class Key:
    """One config key: its default as Pulumi.yaml has it, and what it means."""

    default: Any
    meaning: str


def refuse_unknown(names: Iterable[str], known: Iterable[str]) -> None:
    """BadInput for a name that is no key, with the nearest that is one."""
    known = list(known)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {NAMESPACE}:{near[0]}?" if near else "known keys: " + ", ".join(known)
            raise BadInput(f"unknown config key {NAMESPACE}:{name}", hint=hint)


def one_of(key: str, value: Any, allowed: Iterable[str]) -> str:
    """`value` if it is among `allowed`."""
    allowed = list(allowed)
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "one of: " + ", ".join(allowed)
        raise BadInput(f"{NAMESPACE}:{key}: {value!r} is not known", hint=hint)
    return str(value)


def whole(key: str, value: Any, what: str, digits: int = 4) -> int:
    """A whole number of `what`, of so many digits at most."""
    if not re.fullmatch(rf"[0-9]{{1,{digits}}}", str(value)):
        raise BadInput(f"{NAMESPACE}:{key}: {value!r} is no whole number of {what}")
    return int(str(value))


def word(key: str, value: Any, pattern: str, what: str) -> str:
    """A text that matches `pattern`, or none at all."""
    if value != "" and not (isinstance(value, str) and re.fullmatch(pattern, value)):
        raise BadInput(f"{NAMESPACE}:{key}: {value!r}: {what} is wanted")
    return str(value)


def texts(key: str, value: Any, what: str) -> list[str]:
    """A list of texts, also as JSON text, which is how the engine hands lists over."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            value = None
    if not isinstance(value, list | tuple):
        raise BadInput(f"{NAMESPACE}:{key}: {what} is wanted")
    return [str(entry) for entry in value]
