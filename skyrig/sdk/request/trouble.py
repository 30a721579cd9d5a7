"""Errors on their way from a request's worker to whoever asks for its result."""

from __future__ import annotations

from typing import Any

from skyrig import errors
from skyrig.errors import JobFailed, NodeLost, SkyrigError

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type)}


def to_plain(error: SkyrigError) -> dict[str, Any]:
    """An error as plain data; one of a kind that only a part of Skyrig knows as what that is in skyrig.errors."""
    kind = next(each.__name__ for each in type(error).__mro__ if each.__name__ in _KINDS)
    more = {"node_id": error.node_id} if isinstance(error, NodeLost) else {}
    return {"kind": kind, "message": error.message, "hint": error.hint, "code": error.exit_code, **more}


def from_plain(data: dict[str, Any]) -> SkyrigError:
    """The error again."""
    kind = _KINDS[data["kind"]]
    if issubclass(kind, NodeLost):
        return kind(data["message"], node_id=data["node_id"], hint=data["hint"])
    if issubclass(kind, JobFailed):
        return kind(data["message"], code=data["code"], hint=data["hint"])
    made: SkyrigError = kind(data["message"], hint=data["hint"])
    return made
