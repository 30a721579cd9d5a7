"""What is known of bytes that were written: how many they are, and their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from skyrig.checkpoint.store import Block

BLOCK = 16 << 20
"""Bytes that are hashed, written or read at a time."""


@dataclass(frozen=True)
class Content:
    """Bytes: how many, and their SHA-256."""

    size: int
    sha256: str


def measured(blocks: Iterable[Block]) -> Content:
    """What is to be known of bytes that come block by block."""
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    return Content(size, digest.hexdigest())
