"""Values as the engine sends them to a plugin: secrets wrapped, numbers all of one kind; and how two of them differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from google.protobuf import json_format, struct_pb2

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for what a preview cannot know."""

_KIND = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"

Paths = set[tuple[str | int, ...]]
"""Where secrets are in a value."""


def plain(sent: struct_pb2.Struct) -> tuple[dict[str, Any], Paths]:
    """The value, with its secrets laid open, and where they are."""
    secret: Paths = set()
    return _opened(json_format.MessageToDict(sent), (), secret), secret


def sealed(value: Mapping[str, Any], secret: Paths) -> struct_pb2.Struct:
    """A value with what is at these places wrapped as secrets; places that are not in it do not matter."""
    made = struct_pb2.Struct()
    made.update(_wrapped(dict(value), (), secret))
    return made


def _opened(value: Any, place: tuple[str | int, ...], secret: Paths) -> Any:
    if isinstance(value, dict):
        if value.get(_KIND) == _SECRET:
            secret.add(place)
            return _opened(value["value"], place, secret)
        return {name: _opened(each, (*place, name), secret) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_opened(each, (*place, index), secret) for index, each in enumerate(value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _wrapped(value: Any, place: tuple[str | int, ...], secret: Paths) -> Any:
    inner = value
    if isinstance(value, dict):
        inner = {name: _wrapped(each, (*place, name), secret) for name, each in value.items()}
    elif isinstance(value, list):
        inner = [_wrapped(each, (*place, index), secret) for index, each in enumerate(value)]
    return {_KIND: _SECRET, "value": inner} if place in secret else inner


def changed(old: Any, new: Any, place: str = "") -> Iterator[str]:
    """Where two values differ, as the engine writes it: spec.template.spec.containers[0].image."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            here = f"{place}.{name}" if place else name
            if "." in name or "/" in name:
                here = f'{place}["{name}"]'
            yield from changed(old.get(name), new.get(name), here)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from changed(before, after, f"{place}[{index}]")
    elif old != new:
        yield place


def follow(value: Any, place: str) -> Any:
    """What is at a.b.c; None where nothing is."""
    for name in place.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def shown(wanted: Any, live: Any) -> Any:
    """What was wanted as it is now: other values where they differ, and nothing of what was never asked for."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        kept = {name: shown(each, live.get(name)) for name, each in wanted.items()}
        if "stringData" in wanted:  # never shown again
            kept["stringData"] = wanted["stringData"]
        return {name: each for name, each in kept.items() if each is not None}
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        return [shown(before, after) for before, after in zip(wanted, live, strict=True)]
    empty = live is None and wanted in ({}, [], "", False, 0)
    return wanted if empty or _same_amount(wanted, live) else live


_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def _same_amount(one: Any, other: Any) -> bool:
    try:
        return _amount(str(one)) == _amount(str(other))
    except InvalidOperation:
        return False


def _amount(text: str) -> Decimal:
    if text.endswith("m"):
        return Decimal(text[:-1]) / 1000
    unit = next((each for each in _UNITS if text.endswith(each)), "")
    return Decimal(text.removesuffix(unit)) * _UNITS.get(unit, 1)
