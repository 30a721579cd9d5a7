"""Vector databases: one file each, SQLite with sqlite-vec."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
import sqlite_vec

Add = Callable[[Sequence[str], Sequence[Sequence[float]]], None]


def _opened(file: Path, flags: int) -> apsw.Connection:
    database = apsw.Connection(str(file), flags=flags)
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    return database


@contextmanager
def new(target: Path) -> Iterator[Add]:
    """A database to add texts with their vectors to. It is made on this machine's disk and copied to `target` when the
    block has ended well: what lies there is whole."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / target.name
        file.touch()  # it is an empty database until there is a text
        database = _opened(file, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        width = 0

        def add(texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> None:
            nonlocal width
            if not width:
                width = len(vectors[0])
                database.execute(
                    f"CREATE VIRTUAL TABLE texts USING vec0(vector float[{width}] distance_metric=cosine, +text TEXT)"
                )
            rows = zip(texts, map(sqlite_vec.serialize_float32, vectors), strict=True)
            with database:
                database.executemany("INSERT INTO texts(text, vector) VALUES (?, ?)", rows)

        yield add
        database.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.part")
        shutil.copyfile(file, partial)
        partial.replace(target)


def nearest(file: Path, vector: Sequence[float], count: int) -> tuple[int, list[tuple[float, str]]]:
    """How many texts a database has, and the `count` nearest to a vector, with their distance."""
    database = _opened(file, apsw.SQLITE_OPEN_READONLY)
    if not list(database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'texts'")):
        return 0, []  # there were fewer texts than processes
    asked = "SELECT distance, text FROM texts WHERE vector MATCH ? AND k = ? ORDER BY distance"
    found = list(database.execute(asked, (sqlite_vec.serialize_float32(list(vector)), count)))
    (total,) = next(iter(database.execute("SELECT count(*) FROM texts")))
    database.close()
    return total, found
