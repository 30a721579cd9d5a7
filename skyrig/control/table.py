"""The controller's table: wards and facts, in sqlite or PostgreSQL (skyrig.control.database). All SQL of this room is
here.

Clients and controller open it side by side: every call is one short transaction, and whoever finds it locked waits.
What is to be done stands in it before it is done. In a database that several homes share each sees its own wards.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve

from skyrig.control import folder
from skyrig.control.database import address
from skyrig.control.ward import SERVICE, Ward, Wish

T = TypeVar("T")

_VERSION = 2
_TABLES = (
    """CREATE TABLE IF NOT EXISTS wards (
    home TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, stack TEXT NOT NULL, alone INTEGER NOT NULL,
    wish TEXT NOT NULL, version INTEGER NOT NULL, applied INTEGER NOT NULL, failed INTEGER NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, data TEXT NOT NULL, created_at DOUBLE PRECISION NOT NULL,
    changed_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (home, kind, name))""",
    """CREATE TABLE IF NOT EXISTS facts (
    home TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (home, name))""",
)
_COLUMNS = (
    "kind", "name", "stack", "alone", "wish", "version", "applied", "failed", "status", "reason", "data",
    "created_at", "changed_at",
)  # fmt: skip
_NAMED = ", ".join(_COLUMNS)
_NOTE = """INSERT INTO facts (home, name, value, at) VALUES (?, ?, ?, ?)
    ON CONFLICT (home, name) DO UPDATE SET value = excluded.value, at = excluded.at"""
_ENTER = f"""INSERT INTO wards (home, {_NAMED}) VALUES (?, {", ".join("?" * len(_COLUMNS))})
    ON CONFLICT (home, kind, name) DO UPDATE SET {", ".join(f"{each} = excluded.{each}" for each in _COLUMNS[2:])}"""

_LASTING = ("head", "told", "good")
"""What of a ward's data is true of its next version as well."""

_CHANGEABLE = frozenset({"stack", "alone", "wish", "version", "applied", "failed", "status", "reason"})

_EVERYBODY = ""
"""The home under which facts stand that are true for all homes."""


def is_there() -> bool:
    """Whether there ever was a ward here: costs a stat or two."""
    return address.is_known() if address.url() else folder.database().exists()


def wards(kind: str | None = None, *, past: bool = False) -> list[Ward]:
    """All wards that are cared for, or those of a kind, by name; with `past` those too that have ended."""
    if not is_there():
        return []
    words = f"SELECT {_NAMED} FROM wards WHERE home = ? AND (? = 1 OR wish != ?) ORDER BY kind, name"
    rows = _done(lambda db: db.execute(words, (_home(), int(past), str(Wish.PAST))).fetchall())
    return [ward for ward in map(_ward, rows) if kind in (None, ward.kind)]


def of_everybody(kind: str) -> list[tuple[str, Ward]]:
    """All wards of a kind in a database that homes share, those that have ended too, each with the name of its home
    there; of a table of one home these are its own."""
    if not is_there():
        return []
    words = f"SELECT home, {_NAMED} FROM wards WHERE kind = ? ORDER BY home, name"
    return [(row[0], _ward(row[1:])) for row in _done(lambda db: db.execute(words, (kind,)).fetchall())]


def ward(name: str, kind: str = SERVICE) -> Ward | None:
    """One ward; None where there is none of that name."""
    return _done(lambda db: _one(db, kind, name)) if is_there() else None


def on_stack(stack: str) -> Ward | None:
    """The ward that a stack carries; None where it carries none."""
    return next((each for each in wards() if each.stack == stack), None)


def number(kind: str) -> int:
    """A number for a new ward of a kind, which none had before, in a shared database at no home: 1, 2, ... Its row is
    the caller's to enter."""
    return _counted(kind, lambda last: last + 1)


def at_least(kind: str, last: int) -> None:
    """See to it that a number which is in use is not given to a new ward of that kind."""
    _counted(kind, lambda known: max(known, last))


def _counted(kind: str, counted: Callable[[int], int]) -> int:
    def work(db: Any) -> int:
        name = f"last {kind}"
        row = db.execute("SELECT value FROM facts WHERE home = ? AND name = ?", (_EVERYBODY, name)).fetchone()
        found = counted(int(json.loads(row[0])) if row else 0)
        db.execute(_NOTE, (_EVERYBODY, name, json.dumps(found), time.time()))
        return found

    return _done(work, home=_EVERYBODY)


def enter(wanted: Ward, *, only_new: bool = False) -> Ward:
    """Write a ward down: a new one, or another version of one that is there, whose history stays. What was to go, or
    was given up, is wished for again. The row as it is then. With `only_new` one that is there stays as it is."""

    def work(db: Any) -> Ward:
        there, now = _one(db, wanted.kind, wanted.name), time.time()
        if there is None:
            fresh = evolve(wanted, created_at=now, changed_at=now)
        elif only_new:
            return there
        else:
            data = {name: value for name, value in there.data.items() if name in _LASTING}
            fresh = evolve(
                wanted, applied=there.applied, failed=there.failed, data=data, status=there.status,
                created_at=there.created_at, changed_at=now,
            )  # fmt: skip
        db.execute(_ENTER, (_home(), *_row(fresh)))
        return fresh

    return _done(work)


def change(name: str, kind: str = SERVICE, *, data: dict[str, Any] | None = None, **fields: Any) -> Ward | None:
    """Change fields of a ward, and in its `data` those keys (None takes one out); the row as it is then. None, and
    nothing is written, where the ward is gone."""
    if unknown := fields.keys() - _CHANGEABLE:
        raise TypeError(f"no field of a ward: {', '.join(sorted(unknown))}")

    def work(db: Any) -> Ward | None:
        there = _one(db, kind, name)
        if there is None:
            return None
        merged = {key: value for key, value in {**there.data, **(data or {})}.items() if value is not None}
        now = evolve(there, **fields, data=merged)
        if now == there:
            return there
        now = evolve(now, changed_at=time.time())
        db.execute(_ENTER, (_home(), *_row(now)))
        return now

    return _done(work)


def drop(name: str, kind: str = SERVICE) -> None:
    """Forget a ward."""
    if is_there():
        words = "DELETE FROM wards WHERE home = ? AND kind = ? AND name = ?"
        _done(lambda db: db.execute(words, (_home(), kind, name)))


def note(name: str, value: Any) -> None:
    """Write a fact down, with the time."""
    _done(lambda db: db.execute(_NOTE, (_home(), name, json.dumps(value), time.time())))


def fact(name: str) -> tuple[Any, float] | None:
    """A fact and when it was written; None where it never was."""
    if not is_there():
        return None
    words = "SELECT value, at FROM facts WHERE home = ? AND name = ?"
    row = _done(lambda db: db.execute(words, (_home(), name)).fetchone())
    return (json.loads(row[0]), float(row[1])) if row else None


def _done(work: Callable[[Any], T], *, home: str | None = None) -> T:
    """What `work` returns, done as one transaction beside which nobody else of the home writes."""
    if url := address.url():
        from skyrig.control.database import postgres

        return postgres.done(url, _home() if home is None else home, _VERSION, _made_from, work)
    from skyrig.control.database import lite

    return lite.done(folder.database(), _VERSION, _made_from, work)


def _home() -> str:
    """What this home is called in the table: nothing, where the table is its own."""
    return address.home() if address.url() else ""


def _made_from(version: int) -> list[str]:
    """The statements that make the tables out of those of an earlier version (0: there are none)."""
    if version != 1:
        return list(_TABLES)
    return [
        "ALTER TABLE wards RENAME TO wards_1",
        "ALTER TABLE facts RENAME TO facts_1",
        *_TABLES,
        f"INSERT INTO wards (home, {_NAMED}) SELECT '', {_NAMED} FROM wards_1",
        "INSERT INTO facts (home, name, value, at) SELECT '', name, value, at FROM facts_1",
        "DROP TABLE wards_1",
        "DROP TABLE facts_1",
    ]


def _one(db: Any, kind: str, name: str) -> Ward | None:
    words = f"SELECT {_NAMED} FROM wards WHERE home = ? AND kind = ? AND name = ?"
    row = db.execute(words, (_home(), kind, name)).fetchone()
    return _ward(row) if row else None


def _ward(row: tuple[Any, ...]) -> Ward:
    known = dict(zip(_COLUMNS, row, strict=True))
    known |= {"alone": bool(known["alone"]), "wish": Wish(known["wish"]), "data": json.loads(known["data"])}
    return Ward(**known)


def _row(ward: Ward) -> tuple[Any, ...]:
    held = {"alone": int(ward.alone), "wish": str(ward.wish), "data": json.dumps(ward.data)}
    return tuple(held.get(column, getattr(ward, column)) for column in _COLUMNS)
