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
    """Let `names` stand for `address`, and nothing else that did. The address as IPv6 sockets show it gets a name of
    its own: torch looks it up for its messages, and warns in every job where there is none."""
    _change(file, address, f"{address} {' '.join(names)}\n{_mapped(address)} {names[0]}-mapped\n")


def remove(file: Path, address: str) -> None:
    """Forget the names of `address`; nothing where the file is gone."""
    if file.exists():
        _change(file, address, "")


def _mapped(address: str) -> str:
    return f"::ffff:{address}"


def _change(file: Path, address: str, line: str) -> None:
    with file.open("r+") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        gone = (address, _mapped(address))
        kept = [old for old in opened if not old.split() or old.split()[0] not in gone]
        opened.seek(0)
        opened.write("".join(kept) + line)
        opened.truncate()
