"""Run on a node during a preflight (stdlib only, Python 3.8): tells what the node has (skyrig.preflight.probe) and its
clock, and moves bytes round a ring of nodes.

Orders come as JSON lines on standard input, an answer goes back as one line each. It ends when its input does, whatever
it is doing, so nothing of it outlives whoever has started it; and of its own accord `life_s` seconds after the last
order. `given`: `address` is where it listens, `token` what others must say before they are listened to.

Programs that it runs for whoever asks end with it too.

A ring does what an all-reduce does to the links, without the sums: in each of `steps` steps every member sends `chunk`
bytes to the next one and gets as many from the one before it. With two members that is one link in both directions.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from queue import Queue

from skyrig.preflight import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BLOCK = 1 << 20
_HEADER = 64
_MOST_SAID = 400_000


class Broken(Exception):
    """A ring that cannot go on; its text says why."""


def tell(answer: dict[str, Any]) -> None:
    """One line to whoever has asked."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def header(token: str, ring: str) -> bytes:
    """What is said first on a connection."""
    return f"{token} {ring}".encode().ljust(_HEADER)


class Member:
    """What this node is in all rings, one after the other."""

    def __init__(self, address: str, token: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._token = token
        self._door = socket.socket(family, socket.SOCK_STREAM)
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._door.bind((address, 0))
        self._door.listen(64)
        self.port = self._door.getsockname()[1]
        self._waiting: dict[bytes, socket.socket] = {}

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Take part in one ring: bytes that came, seconds that it took, and why it broke off, if it did."""
        end = time.monotonic() + order["limit_s"]
        came, began = [0], [time.monotonic()]
        problem, ahead, behind = "", None, None
        try:
            ahead = self._call(order, end)
            behind = self._answer(order["ring"], end)
            for _ in range(order["members"] + 1):  # everybody has heard of everybody then
                step(ahead, behind, 1, end, [0])
            began[0] = time.monotonic()
            for _ in range(order["steps"]):
                step(ahead, behind, order["chunk"], end, came)
        except (OSError, Broken) as error:
            problem = str(error)
        seconds = time.monotonic() - began[0]
        for line in (ahead, behind):
            if line is not None:
                line.close()
        return {"bytes": came[0], "seconds": seconds, "problem": problem}

    def _call(self, order: dict[str, Any], end: float) -> socket.socket:
        line = socket.create_connection(tuple(order["next"]), timeout=max(end - time.monotonic(), 0.1))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(header(self._token, order["ring"]))
        line.setblocking(False)
        return line

    def _answer(self, ring: str, end: float) -> socket.socket:
        wanted = header(self._token, ring)
        while wanted not in self._waiting:
            self._door.settimeout(max(end - time.monotonic(), 0.01))
            try:
                line, _ = self._door.accept()
            except socket.timeout:  # noqa: UP041 (another error than TimeoutError before Python 3.10)
                raise Broken("nobody connected") from None
            line.settimeout(max(end - time.monotonic(), 0.01))
            said = b""
            while len(said) < _HEADER:
                more = line.recv(_HEADER - len(said))
                if not more:
                    break
                said += more
            if said.startswith(self._token.encode()):
                self._waiting[said] = line
            else:
                line.close()
        line = self._waiting.pop(wanted)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.setblocking(False)
        return line


_SENT = bytes(_BLOCK)
_TAKEN = bytearray(_BLOCK)


def step(ahead: socket.socket, behind: socket.socket, count: int, end: float, came: list[int]) -> None:
    """Send `count` bytes ahead and take as many from behind; `came` counts these. Broken where that has no end."""
    to_send, to_take = count, count
    while to_send or to_take:
        left = end - time.monotonic()
        if left <= 0:
            raise Broken("time is up")
        reads, writes, _ = select.select([behind] if to_take else [], [ahead] if to_send else [], [], left)
        if writes:
            to_send -= ahead.send(memoryview(_SENT)[: min(to_send, _BLOCK)])
        if reads:
            got = behind.recv_into(memoryview(_TAKEN)[: min(to_take, _BLOCK)])
            if not got:
                raise Broken("the one before it went away")
            to_take -= got
            came[0] += got


def free_port() -> int:
    """A port that nothing listens at now."""
    with socket.socket() as looking:
        looking.bind(("", 0))
        return int(looking.getsockname()[1])


_children: set[int] = set()
"""Process groups of the programs that run."""


def program(order: dict[str, Any]) -> dict[str, Any]:
    """Run `words` with `env` over the environment, for `limit_s` seconds at most: exit code (-1: it was ended, or could
    not begin) and the end of what it said."""
    try:
        process = subprocess.Popen(order["words"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True,
                                   env={**os.environ, **order["env"]})  # fmt: skip
    except OSError as error:
        return {"code": -1, "said": str(error)}
    _children.add(process.pid)
    try:
        said, _ = process.communicate(timeout=order["limit_s"])
        code = process.returncode
    except subprocess.TimeoutExpired:
        code, said = -1, b"it took too long"
    end_children()
    process.wait()
    _children.discard(process.pid)
    return {"code": code, "said": said[-_MOST_SAID:].decode(errors="replace")}


def end_children() -> None:
    """Kill whatever runs of the programs that were begun."""
    for group in list(_children):
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


def listen(orders: Queue[dict[str, Any]]) -> None:
    """Take orders; the end of the input is the end of all."""
    for line in sys.stdin.buffer:
        orders.put(json.loads(line))
    end()


def end(*_: object) -> None:
    """End, with all that runs for whoever asked."""
    end_children()
    os._exit(0)


def run(given: dict[str, Any]) -> None:
    """Do what is asked, until nobody asks any more."""
    signal.signal(signal.SIGALRM, end)
    signal.alarm(int(given["life_s"]))
    orders: Queue[dict[str, Any]] = Queue()
    threading.Thread(target=listen, args=(orders,), daemon=True).start()
    member = None
    while True:
        order = orders.get()
        signal.alarm(int(given["life_s"]))
        answer: dict[str, Any] = {}
        if order["op"] == "clock":
            answer = {"clock": probe.clock()}
        elif order["op"] == "probe":
            answer = {"found": probe.look()}
        elif order["op"] == "run":
            answer = program(order)
        elif order["op"] == "port":
            answer = {"port": free_port()}
        elif order["op"] == "listen":
            try:
                member = member or Member(given["address"], given["token"])
                answer = {"port": member.port}
            except OSError as error:
                answer = {"problem": str(error)}
        elif order["op"] == "ring" and member is not None:
            answer = member.run(order)
        tell({"id": order["id"], **answer})
