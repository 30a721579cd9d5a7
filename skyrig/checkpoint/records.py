"""What a program's own function saved in a folder: one record a step, with size and SHA-256 of each file."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from skyrig.checkpoint.content import BLOCK, Content, measured

Stamp = tuple[int, int, int]
"""Inode, size and time of a file: what changes when it is written."""


@dataclass(frozen=True)
class Written(Content):
    """A file: its content, and the function that wrote it."""

    by: str


@dataclass(frozen=True)
class Record:
    """What is there of one step; `files` by their paths in the folder."""

    step: int
    timestamp: str
    model_type: str
    files: Mapping[str, Written]


class Records:
    """The records of one prefix in `folder`."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder = folder.absolute()
        self._prefix = prefix
        self._named = re.compile(re.escape(prefix) + r"_step_(-?\d+)_metadata\.json")

    def files(self) -> dict[str, Stamp]:
        """All files below the folder that are no records of any prefix."""
        found = {}
        for path, _, names in os.walk(self.folder):
            for name in names:
                if name.endswith("_metadata.json"):
                    continue
                file = Path(path, name)
                with contextlib.suppress(FileNotFoundError):
                    stat = file.stat()
                    found[file.relative_to(self.folder).as_posix()] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return found

    def all(self) -> list[Record]:
        """All records, oldest step first. One that is cut short is none: its step was not saved to the end."""
        found = []
        for path in self.folder.glob("*_metadata.json") if self.folder.is_dir() else ():
            if self._named.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
                    found.append(_record(json.loads(path.read_text(encoding="utf-8"))))
        return sorted(found, key=lambda record: record.step)

    def add(self, step: int, by: str, names: Iterable[str], *, model_type: str) -> None:
        """Record that `by` wrote these files for `step`. Files of another step among them are that step's no more."""
        files = {name: self._written(name, by) for name in names}
        for other in self.all():
            if other.step != step and files.keys() & other.files.keys():
                self._replace(other, {name: each for name, each in other.files.items() if name not in files})
        there = next((record.files for record in self.all() if record.step == step), {})
        moment = datetime.now(timezone.utc).isoformat()
        self._write(Record(step, moment, model_type, {**there, **files}))

    def prune(self, by: str, keep: int) -> None:
        """Of the steps that `by` saved, remove what it wrote for all but the newest `keep`."""
        mine = [record for record in self.all() if any(each.by == by for each in record.files.values())]
        for record in mine[:-keep]:
            self._replace(record, {name: each for name, each in record.files.items() if each.by != by})
            for name, each in record.files.items():
                if each.by == by:
                    (self.folder / name).unlink(missing_ok=True)

    def damage(self, record: Record) -> str:
        """Why a step is not whole any more; "" if it is."""
        for name, written in record.files.items():
            try:
                found = self._written(name, written.by)
            except OSError as error:
                return f"{name} cannot be read: {error.strerror}"
            if found.size != written.size:
                return f"{name} has {found.size} bytes, not {written.size}"
            if found.sha256 != written.sha256:
                return f"{name} holds other bytes than were saved"
        return ""

    def _written(self, name: str, by: str) -> Written:
        with (self.folder / name).open("rb") as file:
            found = measured(iter(lambda: file.read(BLOCK), b""))
        return Written(found.size, found.sha256, by)

    def _path(self, step: int) -> Path:
        return self.folder / f"{self._prefix}_step_{step}_metadata.json"

    def _replace(self, record: Record, files: Mapping[str, Written]) -> None:
        if files:
            self._write(Record(record.step, record.timestamp, record.model_type, files))
        else:
            self._path(record.step).unlink(missing_ok=True)

    def _write(self, record: Record) -> None:
        """In one step where the folder can do that; half a record is none."""
        path = self._path(record.step)
        beside = path.with_name(f".{path.stem}.{os.getpid()}_metadata.json")
        beside.write_text(json.dumps(asdict(record)), encoding="utf-8")
        beside.replace(path)


def _record(plain: dict[str, Any]) -> Record:
    files = {name: Written(**each) for name, each in plain["files"].items()}
    if not files:
        raise ValueError("a record of nothing")
    return Record(int(plain["step"]), plain["timestamp"], plain["model_type"], files)
