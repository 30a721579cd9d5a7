"""Open files: each connection is one. The limit of this process is raised as far as is needed, and may be."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

from skyrig.errors import SkyrigError
from skyrig.fleet.ssh import asyncssh

SPARE = 256
"""Descriptors left for all that is no connection of a pool: files, pipes, listening sockets."""

_open: WeakSet[asyncssh.SSHClientConnection] = WeakSet()
_opening = 0


class TooManyFiles(SkyrigError):
    """The system lets this process open fewer files than it needs connections."""


@contextmanager
def room() -> Iterator[None]:
    """Room for one more connection while it is being opened. TooManyFiles if there is none."""
    global _opening
    if not _fits(len(_open) + _opening + 1):
        count = in_use() + 1
        if not _fits(count):
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            raise TooManyFiles(
                f"{count} SSH connections need {count + SPARE} open files, this process may have {hard}",
                hint="raise the hard limit: ulimit -Hn, or LimitNOFILE= of its service",
            )
    _opening += 1
    try:
        yield
    finally:
        _opening -= 1


def count(connection: asyncssh.SSHClientConnection) -> asyncssh.SSHClientConnection:
    """Count `connection` until it is closed."""
    _open.add(connection)
    return connection


def in_use() -> int:
    """Connections of this process's pools that are open or being opened."""
    for connection in [each for each in _open if each.is_closed()]:
        _open.discard(connection)
    return len(_open) + _opening


def _fits(connections: int) -> bool:
    """Whether so many may be open; raises the soft limit where that helps."""
    wanted = connections + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return True
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return False
    raised = 2 * wanted if hard == resource.RLIM_INFINITY else min(2 * wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return True
