"""The job table: sqlite on the head's disk, one row a job, written before anything is done with it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from skyrig.launch.job import CONVERTER, JobRecord, JobStatus

_SCHEMA = """
create table if not exists jobs (id integer primary key, status text not null, record text not null);
create table if not exists setups (node text not null, incarnation text not null, key text not null,
                                   primary key (node, incarnation));
create table if not exists facts (name text primary key, value text not null);
"""


class JobTable:
    """All that a restarted keeper must know. Every write is one transaction, on disk when the call returns."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=full")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def next_id(self, at_least: int) -> int:
        """The id of the next job: never below `at_least`, never one that was given before."""
        (highest,) = self._db.execute("select coalesce(max(id), 0) from jobs").fetchone()
        return max(int(highest) + 1, at_least)

    def put(self, record: JobRecord) -> None:
        """Write a job's record, new or changed."""
        self._db.execute(
            "insert into jobs values (?, ?, ?) on conflict (id) do update set status=excluded.status, "
            "record=excluded.record",
            (record.id, record.status.value, json.dumps(CONVERTER.unstructure(record))),
        )

    def get(self, job_id: int) -> JobRecord | None:
        """The record of one job."""
        row = self._db.execute("select record from jobs where id = ?", (job_id,)).fetchone()
        return CONVERTER.structure(json.loads(row[0]), JobRecord) if row else None

    def all(self) -> list[JobRecord]:
        """Every record, oldest first."""
        rows = self._db.execute("select record from jobs order by id").fetchall()
        return [CONVERTER.structure(json.loads(row[0]), JobRecord) for row in rows]

    def unfinished(self) -> list[JobRecord]:
        """The jobs that have not ended, oldest first."""
        ended = [status.value for status in JobStatus if status.ended]
        marks = ",".join("?" * len(ended))
        rows = self._db.execute(f"select record from jobs where status not in ({marks}) order by id", ended).fetchall()
        return [CONVERTER.structure(json.loads(row[0]), JobRecord) for row in rows]

    def last_id(self) -> int | None:
        """The newest job's id; None if there is none."""
        row = self._db.execute("select max(id) from jobs").fetchone()
        return row[0]  # type: ignore[no-any-return]

    def setup_key(self, node: str, incarnation: str) -> str:
        """Key of the last setup that succeeded on this incarnation of a node; "" if none did."""
        row = self._db.execute(
            "select key from setups where node = ? and incarnation = ?", (node, incarnation)
        ).fetchone()
        return row[0] if row else ""

    def set_setup_key(self, node: str, incarnation: str, key: str) -> None:
        """Remember (or with "" forget) what the last successful setup of a node was."""
        self._db.execute("insert or replace into setups values (?, ?, ?)", (node, incarnation, key))

    def fact(self, name: str) -> Any:
        """A remembered value by name (plain JSON data); None if there is none."""
        row = self._db.execute("select value from facts where name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_fact(self, name: str, value: Any) -> None:
        """Remember a value by name."""
        self._db.execute("insert or replace into facts values (?, ?)", (name, json.dumps(value)))
