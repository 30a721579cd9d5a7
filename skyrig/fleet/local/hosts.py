"""The hosts file that all nodes of a stack share (level `namespaces`): names of the nodes inside their cluster.

It is bind-mounted over /etc/hosts of every node, so it is always changed in place.
"""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from pathlib import Path

_ALWAYS = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"


def create(file: Path) -> None:
    """A hosts file with no nodes."""
    file.write_text(_ALWAYS)


def add(file: Path, address: str, names: Sequence[str]) -> None:
    """Let `names` stand for `address`, and nothing else that did."""
    _change(file, address, f"{address} {' '.join(names)}\n")


def remove(file: Path, address: str) -> None:
    """Forget the names of `address`; nothing where the file is gone."""
    if file.exists():
        _change(file, address, "")


def _change(file: Path, address: str, line: str) -> None:
    with file.open("r+") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        kept = [old for old in opened if old.split()[:1] != [address]]
        opened.seek(0)
        opened.write("".join(kept) + line)
        opened.truncate()
