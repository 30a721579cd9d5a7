"""Volumes: `sky.volumes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyrig.sdk.missing import not_yet
from skyrig.sdk.request.calls import RequestId


def apply(volume: Mapping[str, Any]) -> RequestId[None]:
    """Make a volume."""
    raise not_yet("sky.volumes.apply")


def ls() -> RequestId[list[dict[str, Any]]]:
    """Volumes that were made."""
    raise not_yet("sky.volumes.ls")


def delete(names: list[str]) -> RequestId[None]:
    """Delete volumes."""
    raise not_yet("sky.volumes.delete")
