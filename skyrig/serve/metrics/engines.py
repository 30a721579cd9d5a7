"""What the engines in the replicas tell about themselves: asked every few seconds, beside everything else."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping

from attrs import field, frozen

from skyrig.fleet.deadline import timeout
from skyrig.serve.asking import Asking
from skyrig.serve.metrics import tokens
from skyrig.serve.metrics.exposition import Part
from skyrig.serve.metrics.tokens import Reading

EVERY_S = 5.0
"""Seconds between two looks at one engine."""

WINDOW_S = 60.0
"""Tokens a second are those of the last so many seconds."""

_PATIENCE_S = 4.0
_MOST_BYTES = 4 << 20
_FORGOTTEN_S = 20.0
"""What an engine told so long ago is not told on: it may be anything by now."""


@frozen
class Aim:
    """Where an engine's metrics are."""

    host: str
    port: int
    path: str


@frozen
class _Told:
    """What an engine told at a moment of the steady clock, and its counts of tokens before and with it."""

    at: float
    text: str
    readings: deque[Reading] = field(repr=False)


class Engines:
    """One per steward."""

    def __init__(self) -> None:
        self._told: dict[int, _Told] = {}
        self._asking = Asking(self._ask_on, lambda replica_id: self._told.pop(replica_id, None))

    def mind(self, aims: Mapping[int, Aim]) -> None:
        """From now on ask the engines of these replicas, and no others."""
        self._asking.mind(aims)

    def tokens_per_s(self) -> dict[int, float]:
        """Tokens a second of the replicas whose engines tell, over the last minute or since they were first asked."""
        rates = {replica_id: tokens.rate(told.readings) for replica_id, told in self._fresh().items()}
        return {replica_id: rate for replica_id, rate in rates.items() if rate is not None}

    def parts(self) -> list[Part]:
        """What each engine told last, to be merged with the others' metrics."""
        return [Part(told.text, {"replica": str(replica_id)}) for replica_id, told in sorted(self._fresh().items())]

    def _fresh(self) -> dict[int, _Told]:
        oldest = time.monotonic() - _FORGOTTEN_S
        return {replica_id: told for replica_id, told in self._told.items() if told.at >= oldest}

    async def _ask_on(self, replica_id: int, aim: Aim) -> None:
        while True:
            text, now = await ask(aim), time.monotonic()
            if text is not None:
                readings = self._told[replica_id].readings if replica_id in self._told else deque[Reading]()
                count = await asyncio.to_thread(tokens.generated, text)  # megabytes take their time to read
                if count is not None:
                    readings.append(Reading(now, count))
                while readings and readings[0].at < now - WINDOW_S:
                    readings.popleft()
                self._told[replica_id] = _Told(now, text, readings)
            await asyncio.sleep(EVERY_S)


async def ask(aim: Aim) -> str | None:
    """The metrics at one place; None where none come within some seconds, or more than a few megabytes."""
    host = f"[{aim.host}]" if ":" in aim.host else aim.host
    lines = (f"GET {aim.path} HTTP/1.0", f"Host: {host}:{aim.port}", "User-Agent: skyrig", "Accept: text/plain", "", "")
    try:
        async with timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_connection(aim.host, aim.port)
            try:
                writer.write("\r\n".join(lines).encode())
                whole = await _read(reader)
            finally:
                writer.close()
    except (OSError, asyncio.TimeoutError):
        return None
    head, _, body = whole.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    good = len(whole) <= _MOST_BYTES and len(words) > 1 and words[0].startswith(b"HTTP/") and words[1] == b"200"
    return body.decode(errors="replace") if good else None


async def _read(reader: asyncio.StreamReader) -> bytes:
    """What comes until the end, but no more than one byte too much."""
    whole = bytearray()
    while len(whole) <= _MOST_BYTES and (more := await reader.read(65536)):
        whole += more
    return bytes(whole)
