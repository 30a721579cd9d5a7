"""The job table: sqlite on the head's disk, one row a job, written before anything is done with it.

A disk that takes nothing ends no job. All that belongs to jobs that have not ended is in memory too; what could not be
written stays there and is written as soon as it can be, in one transaction with all that came after it, so the file is
always consistent. Room for many changes is set aside in the file and its log when they are made, so a disk that is only
full does not get that far. A new job is the exception: it is taken once it is on disk, or refused.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from skyrig.errors import SkyrigError
from skyrig.launch.job import CONVERTER, JobRecord, JobStatus
from skyrig.launch.keeper import plan as plans
from skyrig.launch.keeper.plan import Plan

_SCHEMA = """
create table if not exists jobs (id integer primary key, status text not null, record text not null);
create table if not exists plans (id integer primary key, plan text not null);
create table if not exists setups (node text not null, incarnation text not null, key text not null,
                                   primary key (node, incarnation));
create table if not exists facts (name text primary key, value text not null);
create table if not exists room (filler blob);
"""

_PUT = {
    "job": "insert into jobs values (?, ?, ?) on conflict (id) do update set status=excluded.status, "
    "record=excluded.record",
    "plan": "insert or replace into plans values (?, ?)",
    "no plan": "delete from plans where id = ?",
    "setup": "insert or replace into setups values (?, ?, ?)",
    "fact": "insert or replace into facts values (?, ?)",
}

_ROOM = 512 * 1024
"""Bytes set aside in the file, and in sqlite's log beside it, for changes on a full disk."""

_CHECKPOINT_PAGES = 64
"""Pages of 4 KiB after which sqlite's log is brought into the file: well within the room set aside."""

Change = tuple[str, tuple[Any, ...]]
"""A key of _PUT and its parameters."""


class JobTable:
    """All that a restarted keeper must know. A write is on disk when the call returns, unless the disk took nothing:
    then `problem` says why."""

    def __init__(self, path: Path) -> None:
        self.problem = ""
        try:
            self._db = _opened(path, "normal")
        except sqlite3.Error:  # a full disk: like this the log's index is in memory, one file less to have room for
            self._db = _opened(path, "exclusive")
        self._unwritten: dict[tuple[str, Any], Change] = {}
        self._live: dict[int, JobRecord] = {}
        self._plans: dict[int, Plan] = {}
        self._facts: dict[str, Any] = {}
        self._setups: dict[tuple[str, str], str] = {}
        self._highest = 0
        with suppress(sqlite3.Error):  # a disk that is full already when the keeper starts
            self._db.executescript(_SCHEMA)
            self._set_room_aside()
        self._load()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def incarnation(self) -> str:
        """Name of this table's life; part of every job's uid, so that folders of two lives never mix."""
        known = self.fact("incarnation")
        if not known:
            known = secrets.token_hex(3)
            self.set_fact("incarnation", known)
        return str(known)

    def next_id(self, at_least: int) -> int:
        """The id of the next job: never below `at_least`, never one that was given before."""
        return max(self._highest + 1, at_least)

    def add(self, record: JobRecord) -> None:
        """Write a new job's record. SkyrigError where the disk does not take it; nothing is kept of it then."""
        change = self._job(record)
        self._unwritten.update(change)
        if not self.write():
            for key in change:
                del self._unwritten[key]
            raise SkyrigError(f"the head's disk takes no new job: {self.problem}", hint="make room on the head's disk")
        self._live[record.id] = record
        self._highest = max(self._highest, record.id)

    def put(self, record: JobRecord, plan: Plan | None = None) -> None:
        """Write a job's changed record, and with it its plan if one is given."""
        changes = self._job(record)
        if plan is not None:
            self._plans[record.id] = plan
            changes["plan", record.id] = "plan", (record.id, json.dumps(plan.to_json()))
        self._live[record.id] = record
        self._unwritten.update(changes)
        if self.write() and record.status.ended:
            self._live.pop(record.id, None)

    def drop_plan(self, job_id: int) -> None:
        """Forget a job's plan: it has ended and all that outlives it is where it shall be."""
        if self._plans.pop(job_id, None) is not None:
            self._unwritten["plan", job_id] = "no plan", (job_id,)
            self.write()

    def get(self, job_id: int) -> JobRecord | None:
        """The record of one job."""
        if job_id in self._live:
            return self._live[job_id]
        row = self._db.execute("select record from jobs where id = ?", (job_id,)).fetchone()
        return CONVERTER.structure(json.loads(row[0]), JobRecord) if row else None

    def keyed(self, key: str) -> JobRecord | None:
        """The job whose request had this key."""
        for record in self._live.values():
            if record.key == key:
                return record
        row = self._db.execute("select record from jobs where json_extract(record, '$.key') = ?", (key,)).fetchone()
        return CONVERTER.structure(json.loads(row[0]), JobRecord) if row else None

    def plan(self, job_id: int) -> Plan | None:
        """What was decided about a job; None before its turn, and after all of it is settled."""
        return self._plans.get(job_id)

    def unsettled(self) -> list[int]:
        """Ids of all jobs that have a plan."""
        return sorted(self._plans)

    def newest(self, count: int) -> list[JobRecord]:
        """The newest `count` records and all that have not ended, oldest first."""
        return [CONVERTER.structure(row, JobRecord) for row in self.rows(count)]

    def rows(self, count: int) -> list[dict[str, Any]]:
        """The same as plain data."""
        found = self._db.execute("select id, record from jobs order by id desc limit ?", (count,)).fetchall()
        rows = {job_id: json.loads(text) for job_id, text in found}
        rows |= {job_id: CONVERTER.unstructure(record) for job_id, record in self._live.items()}
        return [rows[job_id] for job_id in sorted(rows)]

    def unfinished(self) -> list[JobRecord]:
        """The jobs that have not ended, oldest first."""
        return [record for _, record in sorted(self._live.items()) if not record.status.ended]

    def last_id(self) -> int | None:
        """The newest job's id; None if there is none."""
        return self._highest or None

    def setup_key(self, node: str, incarnation: str) -> str:
        """Key of the last setup that succeeded on this incarnation of a node; "" if none did."""
        return self._setups.get((node, incarnation), "")

    def knows_setup(self, node: str, incarnation: str) -> bool:
        """Whether anything is known of setups on this incarnation of a node, be it that one has not succeeded."""
        return (node, incarnation) in self._setups

    def set_setup_key(self, node: str, incarnation: str, key: str) -> None:
        """Remember (or with "" forget) what the last successful setup of a node was."""
        self._setups[node, incarnation] = key
        self._unwritten["setup", (node, incarnation)] = "setup", (node, incarnation, key)
        self.write()

    def fact(self, name: str) -> Any:
        """A remembered value by name (plain JSON data); None if there is none."""
        return self._facts.get(name)

    def set_fact(self, name: str, value: Any) -> None:
        """Remember a value by name."""
        self._facts[name] = value
        self._unwritten["fact", name] = "fact", (name, json.dumps(value))
        self.write()

    def write(self) -> bool:
        """Bring what is not on disk yet there, all or nothing; whether it is there now."""
        if not self._unwritten:
            return True
        try:
            self._db.execute("begin immediate")
            for kind, parameters in self._unwritten.values():
                self._db.execute(_PUT[kind], parameters)
            self._db.execute("commit")
        except sqlite3.Error as problem:
            self.problem = str(problem)
            with suppress(sqlite3.Error):  # there may be no transaction to end
                self._db.execute("rollback")
            return False
        self.problem = ""
        self._unwritten.clear()
        self._live = {job_id: record for job_id, record in self._live.items() if not record.status.ended}
        return True

    @staticmethod
    def _job(record: JobRecord) -> dict[tuple[str, Any], Change]:
        text = json.dumps(CONVERTER.unstructure(record))
        return {("job", record.id): ("job", (record.id, record.status.value, text))}

    def _load(self) -> None:
        ended = [status.value for status in JobStatus if status.ended]
        marks = ",".join("?" * len(ended))
        rows = self._db.execute(f"select record from jobs where status not in ({marks})", ended)
        found = (CONVERTER.structure(json.loads(text), JobRecord) for (text,) in rows)
        self._live = {record.id: record for record in found}
        self._plans = {
            job_id: plans.from_json(json.loads(text)) for job_id, text in self._db.execute("select * from plans")
        }
        self._facts = dict(self._pairs("select name, value from facts"))
        setups = self._db.execute("select node, incarnation, key from setups")
        self._setups = {(node, incarnation): key for node, incarnation, key in setups}
        (highest,) = self._db.execute("select coalesce(max(id), 0) from jobs").fetchone()
        self._highest = int(highest)

    def _pairs(self, query: str) -> Iterator[tuple[str, Any]]:
        for name, text in self._db.execute(query):
            yield name, json.loads(text)

    def _set_room_aside(self) -> None:
        """Let the file and its log grow once to what changes on a full disk will need; sqlite reuses both."""
        (free,) = self._db.execute("pragma freelist_count").fetchone()
        (page,) = self._db.execute("pragma page_size").fetchone()
        if free * page < _ROOM // 2:
            self._db.execute("insert into room values (zeroblob(?))", (_ROOM,))
            self._db.execute("delete from room")
            self._db.execute("pragma wal_checkpoint(restart)")


def _opened(path: Path, locking: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=0.2)
    try:
        db.execute(f"pragma locking_mode={locking}")
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=full")
        db.execute(f"pragma wal_autocheckpoint={_CHECKPOINT_PAGES}")
        db.execute("select count(*) from sqlite_master").fetchone()  # the first look at the log is what may need room
    except sqlite3.Error:
        db.close()
        raise
    return db
