"""Numbers out of files of metrics: JSON lines (metrics.jsonl), tables (metrics.csv of Lightning, Keras and others), and
transformers' trainer_state.json."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from skyrig.errors import BadInput
from skyrig.plots import names
from skyrig.plots.gathering import Gathering
from skyrig.plots.values import Training

NAMES = ("metrics.jsonl", "metrics.csv", "trainer_state.json")
"""What is looked for in a folder; of several the newest."""

_LARGEST = 1 << 30
_DEEP = 3
"""Folders below one another that are looked into."""


def of_file(path: Path) -> Training:
    """What a file of metrics tells; of a folder, the newest of NAMES in it. BadInput where there is none."""
    file = _found(path.expanduser())
    try:
        if file.stat().st_size > _LARGEST:
            raise BadInput(f"--metrics {file}: more than {_LARGEST >> 30} GiB")
        return of_bytes(file.read_bytes())
    except OSError as problem:
        raise BadInput(f"--metrics {file}: {problem.strerror}") from problem


def of_bytes(data: bytes) -> Training:
    """What the contents of such a file tell. What is neither is read as a log."""
    found = Gathering()
    for line in _entries(data):
        found.write(line + b"\n")
    return found.training()


def _entries(data: bytes) -> Iterator[bytes]:
    """One line an entry."""
    if data.lstrip()[:1] == b"{" and b'"log_history"' in data:
        try:
            history = json.loads(data)["log_history"]
            yield from (json.dumps(each).encode() for each in history)
            return
        except (ValueError, TypeError, KeyError, RecursionError):
            pass  # no file of that kind after all, or one that is half written
    head, _, rows = data.partition(b"\n")
    columns = _columns(head)
    yield from _rows(columns, rows) if columns else data.split(b"\n")


def _columns(head: bytes) -> list[str]:
    """The names of a table's columns, of which one at least makes a curve; none of what is no table."""
    try:
        columns = next(csv.reader([head.decode("utf-8-sig", "replace").strip()]), [])
    except csv.Error:
        return []
    return columns if any(names.meaning(name) in names.KNOWN for name in columns) else []


def _rows(columns: Sequence[str], data: bytes) -> Iterator[bytes]:
    """The known numbers of a table, row by row."""
    with suppress(csv.Error):  # what comes behind is none
        for row in csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline="")):
            cells = {name: cell for name, cell in zip(columns, row, strict=False) if cell and names.meaning(name)}
            yield json.dumps(cells).encode()


def _found(path: Path) -> Path:
    if not path.is_dir():
        return path
    there = [
        file
        for depth in range(_DEEP)
        for name in NAMES
        for file in path.glob("/".join(["*"] * depth + [name]))
        if file.is_file()
    ]
    if not there:
        raise BadInput(f"--metrics {path}: none of {', '.join(NAMES)} is there", hint="name the file itself")
    return max(there, key=lambda file: file.stat().st_mtime)
