"""A balancer with replicas that are real processes, and clients that note what became of each of their requests."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from skyrig.serve.balancer.balancer import Balancer
from skyrig.serve.balancer.frontage import Frontage, Server, ServerState
from skyrig.serve.spec import Entrance

_CLIENTS = ThreadPoolExecutor(64)
PROGRAM = Path(__file__).with_name("replica.py")


@define
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Replica:
    """A replica as a process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(PROGRAM), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())

    def server(self, state: ServerState = ServerState.READY) -> Server:
        """As the balancer is told of it."""
        return Server(self.name, f"127.0.0.1:{self.port}", state)

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def replicas(count: int, first: int = 1) -> Iterator[list[Replica]]:
    """`count` replicas: r1, r2, ..."""
    made: list[Replica] = []
    try:
        made += [Replica(f"r{number}") for number in range(first, first + count)]
        yield made
    finally:
        for each in made:
            each.kill()
            if each.process.stdout:
                each.process.stdout.close()


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def frontage(port: int, servers: list[Replica] | list[Server], **entrance: Any) -> Frontage:
    """An endpoint on `port`."""
    told = tuple(each.server() if isinstance(each, Replica) else each for each in servers)
    return Frontage(Entrance(port=port, **entrance), told)


def draining(found: Frontage, *names: str) -> Frontage:
    """`found` with those servers draining."""
    states = dict.fromkeys(names, ServerState.DRAIN)
    return evolve(found, servers=tuple(evolve(s, state=states.get(s.name, s.state)) for s in found.servers))


def ask(
    port: int,
    path: str = "/",
    *,
    body: Any = None,
    tls: bool = False,
    **more: Any,
) -> Reply:
    """One request on a connection of its own."""
    kind = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    trust = {"context": ssl._create_unverified_context()} if tls else {}
    connection = kind("127.0.0.1", port, timeout=30, **trust)  # type: ignore[arg-type]
    try:
        connection.request("GET" if body is None else "POST", path, body=body, **more)
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
    finally:
        connection.close()


async def asked(port: int, path: str = "/", **more: Any) -> Reply:
    """`ask`, beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_CLIENTS, lambda: ask(port, path, **more))


@define
class Load:
    """Clients at work: by whom requests were answered, and what went wrong."""

    answered: Counter[str] = field(factory=Counter)
    failed: list[str] = field(factory=list)
    ending: threading.Event = field(factory=threading.Event)

    @property
    def count(self) -> int:
        """Requests that were answered."""
        return self.answered.total()

    def client(self, port: int, path: str) -> None:
        """Ask again and again over a connection that is kept."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not self.ending.is_set():
            try:
                connection.request("POST", path, body=b"{}")
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 200:
                    self.answered[json.loads(text)["name"]] += 1
                else:
                    self.failed.append(f"{answer.status} {text.decode()}")
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
        connection.close()


@contextmanager
def load(port: int, clients: int = 8, path: str = "/?ms=10") -> Iterator[Load]:
    """`clients` that ask all the time."""
    found = Load()
    threads = [threading.Thread(target=found.client, args=(port, path)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.ending.set()
        for thread in threads:
            thread.join()


async def until(condition: Callable[[], Any], deadline_s: float = 20.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def balancer(folder: Path) -> Any:
    """A balancer that is stopped in the end."""
    made = Balancer(folder)
    try:
        yield made
    finally:
        await made.stop()
