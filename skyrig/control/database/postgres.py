"""The table in a PostgreSQL, for many homes: the same statements, a line that is made again when it breaks, and for
each home one writer at a time.

What was at work when the line broke is done again as a whole, so a piece of work must be one that may be.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from skyrig.control.database.address import shown
from skyrig.errors import BadInput, SkyrigError

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

_CONNECTS_S = 5
_LONGEST_PAUSE_S = 2.0
_SCHEMA = "skyrig"
"""The schema of the database in which our tables are."""


class _Lines(threading.local):
    """This thread's line, and the process that opened it: a fork has none."""

    line: psycopg.Connection[Any] | None = None
    url: str = ""
    pid: int = 0


class _Patience:
    seconds = 20.0


_LINES = _Lines()


def be_patient(seconds: float) -> None:
    """How long a database that is away is waited for, in this process."""
    _Patience.seconds = seconds


def done(url: str, home: str, version: int, make: Callable[[int], Sequence[str]], work: Callable[[Any], T]) -> T:
    """What `work` returns, done in a transaction beside which nobody else of that `home` writes. It is given what
    executes statements with `?` in the place of values. SkyrigError where the database is away for too long."""
    try:
        import psycopg
    except ModuleNotFoundError as error:
        raise BadInput(
            "the controller's table is in PostgreSQL",
            hint="`pip install 'skyrig[postgres]'`, in a clone `./rig setup postgres`",
        ) from error
    import tenacity

    again = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(psycopg.OperationalError),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=_LONGEST_PAUSE_S),
        stop=tenacity.stop_after_delay(_Patience.seconds),
        reraise=True,
    )
    try:
        found: T = again(_once, url, home, version, make, work)
        return found
    except psycopg.Error as error:
        _hang_up()
        said = str(error).strip().splitlines() or ["no reason given"]
        raise SkyrigError(
            f"the controller's table at {shown(url)} cannot be used: {said[0]}",
            hint="clusters and jobs go on meanwhile; is the database there?",
        ) from error


def _once(url: str, home: str, version: int, make: Callable[[int], Sequence[str]], work: Callable[[Any], T]) -> T:
    import psycopg

    try:
        line = _line(url)
        with line.transaction():
            db = _Statements(line)
            db.execute("SELECT pg_advisory_xact_lock(hashtext(?))", (f"{_SCHEMA} {home}",))
            db.execute(f"SET LOCAL search_path TO {_SCHEMA}")
            _prepare(db, version, make)
            return work(db)
    except psycopg.OperationalError:
        _hang_up()
        raise


class _Statements:
    """Executes statements as the other dialect writes them."""

    def __init__(self, line: psycopg.Connection[Any]) -> None:
        self._line = line

    def execute(self, statement: str, values: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        """One statement, with its values."""
        return self._line.execute(statement.replace("?", "%s").encode(), values)


def _line(url: str) -> psycopg.Connection[Any]:
    import psycopg

    there = _LINES.line
    if there is not None and not there.closed and (_LINES.url, _LINES.pid) == (url, os.getpid()):
        return there
    _LINES.line, _LINES.url, _LINES.pid = None, url, os.getpid()
    given = {"connect_timeout": _CONNECTS_S, "application_name": "skyrig", "keepalives_idle": 10}
    _LINES.line = psycopg.connect(url, autocommit=True, **given)
    return _LINES.line


def _hang_up() -> None:
    line, _LINES.line = _LINES.line, None
    if line is not None and _LINES.pid == os.getpid():
        with _quietly():
            line.close()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    import psycopg

    with contextlib.suppress(psycopg.Error, OSError):
        yield


def _prepare(db: _Statements, version: int, make: Callable[[int], Sequence[str]]) -> None:
    """Make the tables, where nobody has yet."""
    known = db.execute("SELECT to_regclass('skyrig.version')").fetchone()
    there = db.execute("SELECT number FROM version").fetchone() if known and known[0] else None
    if there is not None and there[0] == version:
        return
    if there is not None and there[0] > version:
        raise SkyrigError("the controller's table was written by a newer Skyrig", hint="use that one")
    db.execute("SELECT pg_advisory_xact_lock(hashtext(?))", (f"{_SCHEMA} tables",))
    db.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
    db.execute("CREATE TABLE IF NOT EXISTS version (number INTEGER NOT NULL)")
    row = db.execute("SELECT number FROM version").fetchone()
    if row is not None and row[0] == version:
        return
    for statement in make(row[0] if row is not None else 0):
        db.execute(statement)
    db.execute("DELETE FROM version")
    db.execute("INSERT INTO version VALUES (?)", (version,))
