"""Requests without a pause from many at once, each on a connection of its own or on one that is kept, and what became
of them."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field


@define
class Asked:
    """What was answered: how often each body, and each failure with the moment in which it came."""

    answers: Counter[str] = field(factory=Counter)
    failures: list[tuple[float, str]] = field(factory=list)
    _stop: threading.Event = field(factory=threading.Event)
    _lock: threading.Lock = field(factory=threading.Lock)

    def since(self) -> Counter[str]:
        """The answers so far; counts from now on."""
        with self._lock:
            seen, self.answers = self.answers, Counter()
        return seen

    def again(self) -> list[tuple[float, str]]:
        """The failures so far; collects from now on."""
        with self._lock:
            seen, self.failures = self.failures, []
        return seen

    def loop(self, where: str, path: str, *, kept: bool) -> None:
        """Ask until told to stop."""
        line: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            try:
                line = line or http.client.HTTPConnection(where, timeout=20)
                line.request("GET", path)
                answer = line.getresponse()
                body = answer.read().decode()
                with self._lock:
                    if answer.status == 200:
                        self.answers[body] += 1
                    else:
                        self.failures.append((time.time(), f"{answer.status} {body[:200]}"))
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.failures.append((time.time(), repr(error)))
                self._stop.wait(0.05)
                line = None
            if line is not None and not kept:
                line.close()
                line = None

    def end(self) -> None:
        """No more requests."""
        self._stop.set()


@contextmanager
def load(where: str, path: str = "/", threads: int = 4) -> Iterator[Asked]:
    """`threads` clients at HOST:PORT `where`, half of which keep their connection, for as long as the block lasts."""
    asked = Asked()
    clients = [
        threading.Thread(target=asked.loop, args=(where, path), kwargs={"kept": number % 2 == 0})
        for number in range(threads)
    ]
    for client in clients:
        client.start()
    try:
        yield asked
    finally:
        asked.end()
        for client in clients:
            client.join(30)
