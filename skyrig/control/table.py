"""The controller's table: wards and facts, in sqlite. All SQL of this room is here.

Clients and controller open it side by side: every call is one short transaction, and whoever finds it locked waits.
What is to be done stands in it before it is done.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import evolve

from skyrig import places
from skyrig.control import folder
from skyrig.control.ward import SERVICE, Ward, Wish
from skyrig.errors import SkyrigError

_BUSY_S = 20.0
_SCHEMA = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS wards (
    kind TEXT NOT NULL, name TEXT NOT NULL, stack TEXT NOT NULL, alone INTEGER NOT NULL, wish TEXT NOT NULL,
    version INTEGER NOT NULL, applied INTEGER NOT NULL, failed INTEGER NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL, data TEXT NOT NULL, created_at REAL NOT NULL, changed_at REAL NOT NULL,
    PRIMARY KEY (kind, name)
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL, at REAL NOT NULL);
"""
_COLUMNS = (
    "kind", "name", "stack", "alone", "wish", "version", "applied", "failed", "status", "reason", "data",
    "created_at", "changed_at",
)  # fmt: skip
_LASTING = ("head", "told", "good")
"""What of a ward's data is true of its next version as well."""

_CHANGEABLE = frozenset({"stack", "alone", "wish", "version", "applied", "failed", "status", "reason"})


def is_there() -> bool:
    """Whether there ever was a ward here: costs one stat."""
    return folder.database().exists()


def wards(kind: str | None = None, *, past: bool = False) -> list[Ward]:
    """All wards that are cared for, or those of a kind, by name; with `past` those too that have ended."""
    if not is_there():
        return []
    with _opened() as db:
        rows = db.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM wards WHERE ? OR wish != ? ORDER BY kind, name",
            (past, str(Wish.PAST)),
        ).fetchall()
    return [ward for ward in map(_ward, rows) if kind in (None, ward.kind)]


def ward(name: str, kind: str = SERVICE) -> Ward | None:
    """One ward; None where there is none of that name."""
    if not is_there():
        return None
    with _opened() as db:
        return _one(db, kind, name)


def on_stack(stack: str) -> Ward | None:
    """The ward that a stack carries; None where it carries none."""
    return next((each for each in wards() if each.stack == stack), None)


def number(kind: str) -> int:
    """A number for a new ward of a kind, which none had before: 1, 2, ... Its row is the caller's to enter."""
    with _opened() as db:
        name = f"last {kind}"
        row = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        found = int(json.loads(row[0])) + 1 if row else 1
        db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", (name, json.dumps(found), time.time()))
        return found


def enter(wanted: Ward) -> Ward:
    """Write a ward down: a new one, or another version of one that is there, whose history stays. What was to go, or
    was given up, is wished for again. The row as it is then."""
    with _opened() as db:
        there, now = _one(db, wanted.kind, wanted.name), time.time()
        if there is None:
            fresh = evolve(wanted, created_at=now, changed_at=now)
        else:
            data = {name: value for name, value in there.data.items() if name in _LASTING}
            fresh = evolve(
                wanted, applied=there.applied, failed=there.failed, data=data, status=there.status,
                created_at=there.created_at, changed_at=now,
            )  # fmt: skip
        marks = ", ".join("?" * len(_COLUMNS))
        db.execute(f"INSERT OR REPLACE INTO wards ({', '.join(_COLUMNS)}) VALUES ({marks})", _row(fresh))
        return fresh


def change(name: str, kind: str = SERVICE, *, data: dict[str, Any] | None = None, **fields: Any) -> Ward | None:
    """Change fields of a ward, and in its `data` those keys (None takes one out); the row as it is then. None, and
    nothing is written, where the ward is gone."""
    if unknown := fields.keys() - _CHANGEABLE:
        raise TypeError(f"no field of a ward: {', '.join(sorted(unknown))}")
    with _opened() as db:
        there = _one(db, kind, name)
        if there is None:
            return None
        merged = {key: value for key, value in {**there.data, **(data or {})}.items() if value is not None}
        now = evolve(there, **fields, data=merged)
        if now == there:
            return there
        now = evolve(now, changed_at=time.time())
        sets = ", ".join(f"{column} = ?" for column in _COLUMNS[2:])
        db.execute(f"UPDATE wards SET {sets} WHERE kind = ? AND name = ?", (*_row(now)[2:], kind, name))
        return now


def drop(name: str, kind: str = SERVICE) -> None:
    """Forget a ward."""
    if is_there():
        with _opened() as db:
            db.execute("DELETE FROM wards WHERE kind = ? AND name = ?", (kind, name))


def note(name: str, value: Any) -> None:
    """Write a fact down, with the time."""
    with _opened() as db:
        db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", (name, json.dumps(value), time.time()))


def fact(name: str) -> tuple[Any, float] | None:
    """A fact and when it was written; None where it never was."""
    if not is_there():
        return None
    with _opened() as db:
        row = db.execute("SELECT value, at FROM facts WHERE name = ?", (name,)).fetchone()
    return (json.loads(row[0]), float(row[1])) if row else None


@contextlib.contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    """One transaction, which nobody else writes beside."""
    file = folder.database()
    places.made(file.parent)
    is_new = not file.exists()
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)) as db:
            if is_new:
                file.chmod(0o600)
            if db.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA:
                _prepare(db, file)
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
    except sqlite3.Error as error:
        raise SkyrigError(f"{file} cannot be used: {error}", hint="is the disk full, or the file another's?") from error


def _prepare(db: sqlite3.Connection, file: Path) -> None:
    """Make the tables, where nobody has yet."""
    with file.with_suffix(".new").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # a change of the journal's kind does not wait for others by itself
        known = db.execute("PRAGMA user_version").fetchone()[0]
        if known > _SCHEMA:
            raise SkyrigError(f"{file} was written by a newer Skyrig", hint="use that one")
        if known == _SCHEMA:
            return
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, _TABLES.split(";")):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {_SCHEMA}")
        db.execute("COMMIT")


def _one(db: sqlite3.Connection, kind: str, name: str) -> Ward | None:
    words = f"SELECT {', '.join(_COLUMNS)} FROM wards WHERE kind = ? AND name = ?"
    row = db.execute(words, (kind, name)).fetchone()
    return _ward(row) if row else None


def _ward(row: tuple[Any, ...]) -> Ward:
    known = dict(zip(_COLUMNS, row, strict=True))
    known |= {"alone": bool(known["alone"]), "wish": Wish(known["wish"]), "data": json.loads(known["data"])}
    return Ward(**known)


def _row(ward: Ward) -> tuple[Any, ...]:
    held = {"alone": int(ward.alone), "wish": str(ward.wish), "data": json.dumps(ward.data)}
    return tuple(held.get(column, getattr(ward, column)) for column in _COLUMNS)
