"""What the balancer of services costs, and what replicas bring: one backend directly and through it; four against one.

The load is wrk's, or where that is not there, that of a small client of ours. Backend, balancer and client share the
machine, so a backend that answers at once says what the balancer costs in CPU; one that takes its time, as a model
does, says what a user notices.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from bench.figures import Figures, Say
from skyrig.errors import SkyrigError
from skyrig.serve.balancer.balancer import Balancer
from skyrig.serve.balancer.frontage import Frontage, Server
from skyrig.serve.spec import Entrance

CONNECTIONS = 16
DELAYS_MS = (20.0, 10.0, 5.0, 0.0)
"""How long backends take for an answer."""

REPLICAS, AT_ONCE, EACH_MS = 4, 4, 20.0
"""The last measurement: so many replicas, each of which answers so many requests at once, in so many milliseconds."""

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@frozen
class Run:
    """One run of the client: requests a second, and within which time 99 of 100 were answered."""

    per_s: float
    p99_s: float


def measure(rounds: int, seconds: float, say: Say) -> list[Figures]:
    """The figures; each round of each contestant takes so many `seconds`."""
    found = []
    for delay in DELAYS_MS:
        say(f"serve: a backend that answers after {delay:g} ms")
        found += _one(delay, rounds, seconds)
    say(f"serve: {REPLICAS} replicas against one")
    return [*found, _several(rounds, seconds)]


def _one(delay_ms: float, rounds: int, seconds: float) -> list[Figures]:
    """A backend directly and through the balancer."""
    what = f"a backend that answers after {delay_ms:g} ms, {CONNECTIONS} connections"
    taken, late = Figures(f"Seconds for 1000 requests: {what}", "direct"), Figures(f"p99: {what}", "direct")
    with ExitStack() as ends:
        direct = ends.enter_context(backend(delay_ms))
        contestants = {"direct": direct, "balancer": ends.enter_context(balanced([direct]))}
        for _ in range(rounds):
            for name, port in contestants.items():
                run = load(port, seconds)
                taken.add(name, 1000 / run.per_s)
                late.add(name, run.p99_s)
    taken.notes.append(f"throughput {_best(taken, lambda ratio: 1 / ratio)} of the direct one (median)")
    return [taken, late]


def _several(rounds: int, seconds: float) -> Figures:
    """One replica and several, through the balancer each. What is under way in the end is not counted, and is more
    where requests wait: so for longer."""
    title = f"Seconds for 1000 requests: replicas that answer {AT_ONCE} at once, in {EACH_MS:g} ms"
    figures = Figures(title, "1 replica")
    with ExitStack() as ends:
        ports = [ends.enter_context(backend(EACH_MS, AT_ONCE)) for _ in range(REPLICAS)]
        contestants = {f"{count} replica{'s'[: count - 1]}": ports[:count] for count in (1, REPLICAS)}
        fronts = {name: ends.enter_context(balanced(behind)) for name, behind in contestants.items()}
        for _ in range(rounds):
            for name, port in fronts.items():
                figures.add(name, 1000 / load(port, 2 * seconds).per_s)
    figures.notes.append(f"throughput {_best(figures, lambda ratio: 1 / ratio)} of that of one (median)")
    return figures


def _best(figures: Figures, turned: Callable[[float], float]) -> str:
    other = next(name for name in figures.seconds if name != figures.against)
    ratios = sorted(turned(ratio) for ratio in figures.ratios(other))
    return f"{ratios[len(ratios) // 2]:.2f} x"


@contextmanager
def backend(delay_ms: float, at_once: int = 0) -> Iterator[int]:
    """The port of a backend that answers so."""
    command = [sys.executable, "-m", "bench.backend", str(delay_ms), str(at_once)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout
            yield int(child.stdout.readline())
        finally:
            child.kill()


@contextmanager
def balanced(ports: Sequence[int]) -> Iterator[int]:
    """The port of a balancer before the backends at `ports`."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = int(probe.getsockname()[1])
    servers = tuple(Server(f"r{number}", f"127.0.0.1:{behind}") for number, behind in enumerate(ports, start=1))
    with tempfile.TemporaryDirectory(prefix="skyrig-bench-") as folder:
        front = Balancer(Path(folder, "balancer"))
        asyncio.run(front.be(Frontage(Entrance(port=port), servers)))
        try:
            yield port
        finally:
            asyncio.run(front.stop())


def load(port: int, seconds: float) -> Run:
    """Ask over CONNECTIONS connections for so long, after a moment that is not counted. SkyrigError where a request
    failed."""
    url = f"http://127.0.0.1:{port}/"
    if (wrk := shutil.which("wrk")) is None:
        asyncio.run(_asked(port, 0.3))
        return asyncio.run(_asked(port, seconds))
    for duration in (1, max(1, round(seconds))):
        command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{duration}s", "--latency", url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SkyrigError(f"requests failed: {said}")
    rate, late = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    assert rate and late, said
    return Run(float(rate[1]), float(late[1]) * _UNITS[late[2]])


async def _asked(port: int, seconds: float) -> Run:
    """The small client."""
    taken: list[float] = []
    began = time.monotonic()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (sent := time.monotonic()) < began + seconds:
            writer.write(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SkyrigError(f"a request failed: {head!r}")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            taken.append(time.monotonic() - sent)
        writer.close()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return Run(len(taken) / (time.monotonic() - began), sorted(taken)[int(0.99 * len(taken))])
