"""What a Python program says, as the plain data that a task file holds; the readers of task files judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any, Protocol, runtime_checkable

from skyrig.sdk.clouds import Cloud

Plain = dict[str, Any]
"""Fields of a task file, or of a part of one."""


@runtime_checkable
class Part(Protocol):
    """A builder of a part of a task."""

    def to_yaml_config(self) -> Plain:
        """Its fields."""
        ...


def plain(value: Any) -> Any:
    """`value` as YAML would have it: builders as their fields, sets and tuples as lists, clouds, paths and words of
    an enumeration as texts. What is nothing of that stays, for the readers to refuse."""
    if isinstance(value, Part):
        return plain(value.to_yaml_config())
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Cloud | PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(each) for each in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def given(**fields: Any) -> Plain:
    """The fields that were given, as plain data."""
    return {name: plain(value) for name, value in fields.items() if value is not None}


def text(lines: str | Sequence[str] | None) -> Any:
    """A text, also from its lines."""
    return (
        "\n".join(lines) if isinstance(lines, list | tuple) and all(isinstance(each, str) for each in lines) else lines
    )
