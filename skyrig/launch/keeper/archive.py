"""Records and logs that outlive the cluster: what the keeper brings to the stack's records folder.

All of it is done in one thread of its own, in the order in which it was asked for: a folder that is full, slow or away
holds up no job. What could not be brought is brought later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import define, field

from skyrig.launch import records
from skyrig.launch.job import JobRecord

_BLOCK = 1 << 20

_END_PATIENCE_S = 5.0
"""How long a job's end waits for its records to be brought; after that they follow it."""


@define
class _Copy:
    """One job's: where its log lies, its newest record, and the record that was brought last."""

    log: Path
    record: JobRecord
    brought: JobRecord | None = None
    size: int = field(default=-1)


class Archive:
    """The records folder `base` as the keeper sees it; None where the nodes cannot write it, and nothing is brought."""

    def __init__(self, base: Path | None) -> None:
        self.base = base
        self.problem = ""
        self._copies: dict[int, _Copy] = {}
        self._files: dict[str, str] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(1, "archive")

    def note(self, record: JobRecord, log: Path) -> None:
        """Take a job's newest record; `bring` brings it."""
        copy = self._copies.setdefault(record.id, _Copy(log, record))
        copy.record = record

    def keep(self, name: str, text: str) -> None:
        """Have a small file of this name hold `text` in the folder, soon."""
        self._files[name] = text
        self._bringing()

    async def bring(self, job_id: int) -> bool:
        """Bring a job's record, and what its log has more, to the folder; whether all of it is there now. Once a record
        that has ended is there, the job is forgotten."""
        copy = self._copies.get(job_id)
        if copy is None or self.base is None:
            self._copies.pop(job_id, None)
            return True
        loop = asyncio.get_running_loop()
        done = await loop.run_in_executor(self._thread, self._bring, copy, self.base / str(job_id))
        if done and copy.brought is not None and copy.brought.status.ended:
            self._copies.pop(job_id, None)
        return done

    async def files_soon(self) -> None:
        """Wait until the files that were given to `keep` are there, for a few seconds at most."""
        await asyncio.wait({self._bringing()}, timeout=_END_PATIENCE_S)

    async def bring_soon(self, job_id: int) -> bool:
        """The same, but wait for a few seconds at most."""
        bringing = asyncio.ensure_future(self.bring(job_id))
        with contextlib.suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(asyncio.shield(bringing), _END_PATIENCE_S)
        return False

    async def bring_all(self) -> None:
        """Bring whatever is not there yet."""
        await self._bring_files()
        for job_id in list(self._copies):
            await self.bring(job_id)

    def _bringing(self) -> asyncio.Task[None]:
        bringing = asyncio.create_task(self._bring_files())
        self._background.add(bringing)
        bringing.add_done_callback(self._background.discard)
        return bringing

    async def _bring_files(self) -> None:
        for name, text in list(self._files.items()):
            loop = asyncio.get_running_loop()
            base = self.base
            done = base is None or await loop.run_in_executor(self._thread, self._put, base / name, text)
            if done and self._files.get(name) == text:
                del self._files[name]

    def _put(self, path: Path, text: str) -> bool:
        fresh = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_text(text)
            fresh.replace(path)
        except OSError as problem:
            self.problem = f"{path}: {os.strerror(problem.errno or 0)}"
            return False
        return True

    def holds(self, job_id: int) -> bool:
        """Whether everything of a job that was noted here has been brought (or nothing was)."""
        return job_id not in self._copies

    def log(self, job_id: int) -> Path | None:
        """The kept copy of a job's log, if there is one."""
        path = self.base / str(job_id) / "job.log" if self.base is not None else None
        return path if path is not None and path.exists() else None

    def _bring(self, copy: _Copy, folder: Path) -> bool:
        record = copy.record
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if copy.log.exists():
                copy.size = _extend(copy.log, folder / "job.log", copy.size)
            follow(copy.log.with_name(records.SAMPLES), folder / records.SAMPLES)
            if record != copy.brought:
                records.write(folder, record)
                copy.brought = record
        except OSError as problem:
            self.problem = f"{folder}: {os.strerror(problem.errno or 0)}"
            return False
        self.problem = ""
        return copy.record is record


def follow(source: Path, target: Path) -> None:
    """Make `target` what `source` is, if that is there: a file that grows, or is written anew with another first
    line."""
    if not source.exists():
        return
    with source.open("rb") as new:
        head = new.readline()
    try:
        with target.open("rb") as old:
            same = old.readline() == head
    except FileNotFoundError:
        same = False
    if same:
        _extend(source, target, -1)
    else:
        fresh = target.with_name(f".{target.name}.new")
        fresh.write_bytes(source.read_bytes())
        fresh.replace(target)


def _extend(source: Path, target: Path, known: int) -> int:
    """Make `target` what the whole lines of `source` are, given that its first `known` bytes are (-1: it is not known).
    Written at their own positions: whatever was interrupted, no byte comes twice. Returns how many bytes are there."""
    with source.open("rb") as lines, target.open("ab", buffering=0) as copy:
        length = os.fstat(lines.fileno()).st_size
        have = min(copy.tell(), length) if known < 0 else min(known, length)
        if copy.tell() > have:
            copy.truncate(have)
        lines.seek(have)
        while block := lines.read(_BLOCK):
            whole = block.rfind(b"\n") + 1
            if not whole:
                break
            done = 0
            while done < whole:
                done += copy.write(block[done:whole])
            have += whole
            lines.seek(have)
    return have
