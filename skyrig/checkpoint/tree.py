"""State as nested dictionaries, lists and tuples: taken apart into tensors and the rest, and put together again."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch

from skyrig.checkpoint.store import Block
from skyrig.errors import BadInput

_MARK = "\0tensor"


def split(key: str, value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """`value` with a mark in the place of each tensor; those go to `tensors` under `key` and their path in it."""
    if isinstance(value, torch.Tensor):
        tensors[key] = value.detach()
        return {_MARK: key}
    if type(value) in (dict, OrderedDict):
        return {name: split(f"{key}/{name}", each, tensors) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(split(f"{key}/{number}", each, tensors) for number, each in enumerate(value))
    return value


def join(value: Any, tensor: Callable[[str], torch.Tensor]) -> Any:
    """The opposite of `split`; `tensor` gives the one of a key."""
    if isinstance(value, dict):
        if value.keys() == {_MARK}:
            return tensor(value[_MARK])
        return {name: join(each, tensor) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(join(each, tensor) for each in value)
    return value


def marks(value: Any) -> list[str]:
    """Keys of all tensors that `value` has marks of."""
    found: list[str] = []
    join(value, lambda key: found.append(key))
    return found


def to_bytes(what: str, value: Any) -> bytes:
    """Plain values and tensors as bytes that load without running code. BadInput, naming `what`, for other values."""
    out = io.BytesIO()
    try:
        torch.save(value, out)
        content = out.getvalue()
        from_bytes(content)
    except Exception as error:  # noqa: BLE001  (pickle lets through whatever a value's own code raises)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(
            f"the state of {what} cannot be saved so that it loads again: {reason}",
            hint="give plain values and tensors, or allow its classes with torch.serialization.add_safe_globals",
        ) from None
    return content


def from_bytes(content: Block) -> Any:
    """What `to_bytes` was given; tensors on the CPU."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
