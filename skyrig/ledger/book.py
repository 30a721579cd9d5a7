"""The file in which a stack's entries are kept: lines of JSON that are only ever added to, so that what was spent is
known when the stack and its history are gone."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from cattrs.errors import BaseValidationError

from skyrig import places
from skyrig.ledger import entry
from skyrig.ledger.entry import Entry


class Book:
    """The entries of one stack on the backend with this url."""

    def __init__(self, backend: str, stack: str) -> None:
        self.file = folder(backend) / f"{stack}.jsonl"

    def entries(self) -> list[Entry]:
        """All of it by id; lines that make no sense (one was cut off) are passed over."""
        try:
            text = self.file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return list({each.id: each for each in map(_read, text.splitlines()) if each is not None}.values())

    def add(self, found: Iterable[Entry]) -> None:
        """Write down those that are not there yet: what was written first (and priced earlier) stays."""
        found = list(found)
        if not found:
            return
        places.made(self.file.parent)
        with self.file.open("a", encoding="utf-8") as out:
            fcntl.flock(out, fcntl.LOCK_EX)
            known = {each.id for each in self.entries()}
            lines = [json.dumps(each.to_json()) for each in found if each.id not in known]
            broken = out.tell() and not _ends_well(self.file)
            out.write(("\n" if broken else "") + "".join(f"{line}\n" for line in lines))
            out.flush()
            os.fsync(out.fileno())


def stacks(backend: str) -> list[str]:
    """Names of all stacks of a backend that have entries, also of those that are gone."""
    return sorted(file.stem for file in folder(backend).glob("*.jsonl"))


def folder(backend: str) -> Path:
    """Where the entries of a backend's stacks lie: two backends may have stacks of the same name."""
    return places.ledger() / hashlib.sha256(backend.encode()).hexdigest()[:16]


def _ends_well(file: Path) -> bool:
    with file.open("rb") as text:
        text.seek(-1, os.SEEK_END)
        return text.read(1) == b"\n"


def _read(line: str) -> Entry | None:
    try:
        return entry.from_json(json.loads(line))
    except (ValueError, TypeError, KeyError, BaseValidationError):
        return None
