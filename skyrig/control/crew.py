"""The controller's children: looks at clusters, and work on them, of which two at a time run the engine.

Places are locked files whose descriptors a child inherits, as it does the ward's lock: a controller that dies leaves
its children at work, and the next one counts them and waits for them.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from attrs import define, field

from skyrig import places
from skyrig.control import folder, held, looking, surroundings
from skyrig.control.look import Look
from skyrig.control.ward import LOOK, Ward
from skyrig.errors import SkyrigError

_LOOKS = 2
"""How many looks at a time: each is a process of some 60 MB for half a second."""

_LOOK_S = 120.0
_LARGEST_LOG = 4 << 20
_AGAIN_S = 1.0
"""How often is looked for a place that a child of an earlier controller has."""


@define
class Crew:
    """Starts children and waits for them. `runs` counts those that ran the engine, by act and exit code."""

    runs: dict[tuple[str, int], int] = field(factory=dict)
    at_work: int = 0
    _urgent: int = 0
    _children: dict[tuple[str, str], asyncio.subprocess.Process] = field(factory=dict)
    _looks: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(_LOOKS))
    _freed: asyncio.Event = field(factory=asyncio.Event)

    async def look(self, ward: Ward) -> Look:
        """The ward's cluster as it is now. SkyrigError where it cannot be looked at."""
        async with self._looks:
            around = await asyncio.to_thread(surroundings.of, ward.kind, ward.name)
            child = await asyncio.create_subprocess_exec(
                *_words(ward, LOOK),
                cwd=_at(around.project),
                env=around.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            try:
                out, errors = await asyncio.wait_for(child.communicate(), _LOOK_S)
            except asyncio.TimeoutError:
                child.kill()
                raise SkyrigError(f"the cluster of {ward.name} could not be looked at within {_LOOK_S:.0f} s") from None
        try:
            return looking.from_json(json.loads(out))
        except (ValueError, KeyError) as error:
            said = errors.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
            raise SkyrigError(f"the cluster of {ward.name} cannot be looked at: {said[0]}") from error

    async def work(self, ward: Ward, act: str, *, urgent: bool = False) -> int | None:
        """Do a piece of work on a ward, when there is a place for it, which those that are `urgent` get before others;
        its exit code. None where somebody else is at work on the ward."""
        self._urgent += urgent
        try:
            slot = await self._slot(urgent=urgent)
        finally:
            self._urgent -= urgent
        lock = held.try_take(ward.kind, ward.name)
        if lock is None:
            self._free(slot)
            return None
        self.at_work += 1
        try:
            try:
                child = await self._started(ward, act, (slot, lock))
            finally:
                os.close(lock)  # the child has its own
                os.close(slot)
            self._children[ward.kind, ward.name] = child
            code = await child.wait()
        finally:
            self.at_work -= 1
            self._children.pop((ward.kind, ward.name), None)
            self._freed.set()
        self.runs[str(act), code] = self.runs.get((str(act), code), 0) + 1
        return code

    def interrupt(self, ward: Ward) -> None:
        """Have what is at work on a ward end, as Ctrl-C ends a command: what the engine is making is finished first."""
        child = self._children.get((ward.kind, ward.name))
        if child is not None and child.returncode is None:
            child.send_signal(signal.SIGINT)

    async def _started(self, ward: Ward, act: str, kept: tuple[int, ...]) -> asyncio.subprocess.Process:
        around = await asyncio.to_thread(surroundings.of, ward.kind, ward.name)
        log = folder.log(ward.kind, ward.name)
        if log.exists() and log.stat().st_size > _LARGEST_LOG:
            log.replace(log.with_suffix(".log.1"))
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *_words(ward, act),
                cwd=_at(around.project),
                env=around.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=kept,
            )
        finally:
            os.close(output)

    async def _slot(self, *, urgent: bool) -> int:
        """A place among the runs of the engine, as a descriptor that holds it."""
        while True:
            self._freed.clear()
            for file in folder.slots() if urgent or not self._urgent else ():
                descriptor = os.open(places.made(file.parent) / file.name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                else:
                    return descriptor
            try:
                await asyncio.wait_for(self._freed.wait(), _AGAIN_S)
            except asyncio.TimeoutError:
                continue

    def _free(self, slot: int) -> None:
        os.close(slot)
        self._freed.set()


def _words(ward: Ward, act: str) -> list[str]:
    return [sys.executable, "-I", "-m", "skyrig.control.work", ward.kind, ward.name, str(act)]


def _at(project: Path) -> str:
    """Where a child runs: a clone that is gone is no reason not to look."""
    return str(project) if project.is_dir() else "/"
