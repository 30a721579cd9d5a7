"""The table as a file of sqlite, for one home: every piece of work is one short transaction, and whoever finds the file
locked waits. A file that is damaged is set aside, and an empty one begun."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from skyrig import places
from skyrig.errors import SkyrigError

T = TypeVar("T")

_BUSY_S = 20.0
_LOG = logging.getLogger("skyrig.control")


def done(file: Path, version: int, make: Callable[[int], Sequence[str]], work: Callable[[Any], T]) -> T:
    """What `work` returns, done in a transaction that nobody else writes beside. `make` gives the statements that make
    the tables of this `version` out of those of an earlier one (0: none). SkyrigError where it cannot be used."""
    for _ in range(2):
        try:
            with _opened(file, version, make) as db:
                return work(db)
        except sqlite3.OperationalError as error:
            raise _unusable(file, error) from error
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:  # constraints and the like: our own fault
                raise _unusable(file, error) from error
            _set_aside(file, error)
    raise SkyrigError(f"{file} is damaged again and again", hint="is its disk all right?")


@contextlib.contextmanager
def _opened(file: Path, version: int, make: Callable[[int], Sequence[str]]) -> Iterator[sqlite3.Connection]:
    places.made(file.parent)
    is_new = not file.exists()
    with contextlib.closing(sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)) as db:
        if is_new:
            file.chmod(0o600)
        if db.execute("PRAGMA user_version").fetchone()[0] != version:
            _prepare(db, file, version, make)
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def _prepare(db: sqlite3.Connection, file: Path, version: int, make: Callable[[int], Sequence[str]]) -> None:
    """Make the tables, where nobody has yet."""
    with file.with_suffix(".new").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # a change of the journal's kind does not wait for others by itself
        known = db.execute("PRAGMA user_version").fetchone()[0]
        if known > version:
            raise SkyrigError(f"{file} was written by a newer Skyrig", hint="use that one")
        if known == version:
            return
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        for statement in make(known):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("COMMIT")


def _set_aside(file: Path, error: sqlite3.Error) -> None:
    """Give a damaged file another name, unless somebody has already: it can be looked at later."""
    with file.with_suffix(".new").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not _is_damaged(file):
            return
        mark = time.strftime("%Y%m%d-%H%M%S")
        aside = file.with_name(f"{file.name}.damaged-{mark}")
        for each in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                file.with_name(file.name + each).replace(aside.with_name(aside.name + each))
    _LOG.warning("%s is damaged (%s): set aside as %s, and begun anew", file, error, aside.name)


def _is_damaged(file: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=_BUSY_S)) as db:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True


def _unusable(file: Path, error: sqlite3.Error) -> SkyrigError:
    return SkyrigError(f"{file} cannot be used: {error}", hint="is the disk full, or the file another's?")
