"""The controller itself: one care for each ward, a heartbeat, and answers at a unix socket."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Protocol

from skyrig.control import folder, metrics, table
from skyrig.control.client import HEARTBEAT
from skyrig.control.crew import Crew
from skyrig.control.jobs.caring import JobCare
from skyrig.control.services.caring import Care
from skyrig.control.ward import SERVICE, Ward, Wish
from skyrig.errors import SkyrigError
from skyrig.launch.protocol import Message, receive, send
from skyrig.launch.runtime import code

_BEAT_S = 5.0
"""How often the table is looked at when nobody pokes, and the heartbeat written."""

_SPARE_S = 2.0
"""How long a controller without wards stays: a command that is about to enter one finds it there."""

_LOG = logging.getLogger("skyrig.control")


class Caring(Protocol):
    """The care for one ward."""

    def poke(self) -> None:
        """Look now: something has changed."""

    def hurry(self) -> None:
        """The ward is to go: what else is being done for it ends, as Ctrl-C ends a command."""

    async def run(self) -> None:
        """Care for the ward until it is gone, or past."""


def _care(ward: Ward, crew: Crew) -> Caring:
    return Care(ward, crew) if ward.kind == SERVICE else JobCare(ward, crew)


def _identity() -> tuple[int, int]:
    """What tells the controller's lock from another file of its name."""
    found = (folder.root() / folder.LOCK).stat()
    return found.st_dev, found.st_ino


class Controller:
    """Cares for all wards until none is left, or the folder is gone."""

    def __init__(self) -> None:
        self._began = self._beat = time.time()
        self._crew = Crew()
        self._cares: dict[tuple[str, str], tuple[Caring, asyncio.Task[None]]] = {}
        self._poked = asyncio.Event()
        self._lock = _identity()

    async def run(self) -> None:
        """Care; ends when there is nothing to care for."""
        while table.is_there() and self.is_in_place():
            self._poked.clear()
            self._beat = time.time()
            try:
                table.note(HEARTBEAT, self._began)
                self._reconcile()
            except SkyrigError as error:  # its table is away: clusters stay as they are until it is back
                _LOG.warning("%s", error)
                await self._waited(_BEAT_S)
                continue
            if not self._cares and not await self._waited(_SPARE_S):
                return
            if self._cares:
                await self._waited(_BEAT_S)

    def is_in_place(self) -> bool:
        """Whether the lock that makes this the only controller is still the one at its place: whoever finds the folder
        gone makes another one."""
        try:
            return self._lock == _identity()
        except FileNotFoundError:
            return False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        with suppress(OSError, EOFError, ValueError):  # it went away, or speaks something else
            while (received := await receive(reader)) is not None:
                try:
                    answer = self._answer(received[0])
                except (SkyrigError, KeyError) as error:
                    answer = {"error": str(error)}
                await send(writer, answer)
        writer.close()

    def _answer(self, asked: Message) -> Message:
        if asked["op"] == "hello":
            return {"release": code.RELEASE, "began": self._began}
        if asked["op"] == "poke":
            self._poked.set()
            for (_, name), (care, _) in self._cares.items():
                if name == asked["name"]:
                    care.poke()
            return {"poked": True}
        if asked["op"] == "metrics":
            text = metrics.text(table.wards(past=True), self._crew.runs, self._crew.at_work, self._began, self._beat)
            return {"text": text}
        return {"error": f"no such request: {asked['op']}"}

    def _reconcile(self) -> None:
        """A care for each ward that has none, and an end to those that have ended."""
        for key, (_, task) in list(self._cares.items()):
            if task.done():
                del self._cares[key]
                if (error := task.exception()) is not None:
                    _LOG.error("care for %s %s ended", *key, exc_info=error)
        for ward in table.wards():
            key = ward.kind, ward.name
            if key not in self._cares:
                care = _care(ward, self._crew)
                self._cares[key] = care, asyncio.create_task(care.run())
                self._cares[key][1].add_done_callback(lambda _: self._poked.set())
            if ward.wish is Wish.GONE:
                self._cares[key][0].hurry()

    async def _waited(self, seconds: float) -> bool:
        """Wait until somebody pokes, for so long at most; whether somebody did."""
        try:
            await asyncio.wait_for(self._poked.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True
