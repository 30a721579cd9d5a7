"""Whether replicas are ready: each is asked over HTTP/1.1 what its service says, by the head, inside the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from attrs import frozen

from skyrig.fleet.deadline import timeout
from skyrig.serve.asking import Asking
from skyrig.serve.spec import Probe
from skyrig.serve.steward.world import Answer

EAGER_S = 0.5
"""How often a replica is asked that is not ready, in seconds: whoever waits for it waits that much longer at most."""

PATIENT_S = 2.0
"""The same of one that was not ready for a while."""

_EAGER_FOR_S = 60.0
_LONGEST_STATUS = 8192


@frozen
class Aim:
    """What to ask where: HOST:PORT, and how."""

    host: str
    port: int
    probe: Probe


class Prober:
    """One per steward. `answers` are the last ones; `changed` is called where one says something else than before."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.answers: dict[int, Answer] = {}
        self._changed = changed
        self._asking = Asking(self._ask_on, lambda replica_id: self.answers.pop(replica_id, None))

    def mind(self, aims: Mapping[int, Aim]) -> None:
        """From now on ask these replicas, and no others."""
        self._asking.mind(aims)

    async def _ask_on(self, replica_id: int, aim: Aim) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            before, answer = self.answers.get(replica_id), await ask(aim)
            self.answers[replica_id] = answer
            if before != answer:
                self._changed()
            if answer.good:
                began = loop.time()
            pause = EAGER_S if loop.time() - began < _EAGER_FOR_S else PATIENT_S
            await asyncio.sleep(max(EAGER_S, aim.probe.interval_s) if answer.good else pause)


async def ask(aim: Aim) -> Answer:
    """One probe. Only the status counts: what comes after it is not read."""
    try:
        async with timeout(aim.probe.timeout_s):
            reader, writer = await asyncio.open_connection(aim.host, aim.port, limit=_LONGEST_STATUS)
            try:
                writer.write(_request(aim))
                await writer.drain()
                words = (await reader.readline()).split(None, 2)
            finally:
                writer.close()
    except asyncio.TimeoutError:
        return Answer(False, f"none within {aim.probe.timeout_s:g} s")
    except (OSError, ValueError, EOFError) as error:  # ValueError: a line without end
        return Answer(False, getattr(error, "strerror", None) or "nothing that HTTP knows")
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return Answer(False, "nothing that HTTP knows")
    status = int(words[1])
    good = status < aim.probe.accept_below
    return Answer(good, "" if good else f"status {status}")


def _request(aim: Aim) -> bytes:
    body = (aim.probe.post_data or "").encode()
    posts = aim.probe.post_data is not None
    host = f"[{aim.host}]" if ":" in aim.host else aim.host
    fields = {"Host": f"{host}:{aim.port}", "User-Agent": "skyrig-probe", "Accept": "*/*", "Connection": "close"}
    if posts:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    own = {name.lower() for name in aim.probe.headers}
    fields = {name: value for name, value in fields.items() if name.lower() not in own} | dict(aim.probe.headers)
    lines = [f"{'POST' if posts else 'GET'} {aim.probe.path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body
