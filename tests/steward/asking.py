"""Clients that ask an endpoint without a pause, and count what went wrong."""

from __future__ import annotations

import http.client
import threading
from types import TracebackType
from typing import Self

from keeper_cluster import until


class Asking:
    """So many `clients` at `port`, each with a connection that it keeps. `answers` are the words of each answer,
    `failures` what was no good answer."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.port = port
        self.answers: list[list[str]] = []
        self.failures: list[str] = []
        self._leaving = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def words(self) -> set[str]:
        """First words of the answers so far."""
        return {each[0] for each in list(self.answers)}

    def go_on(self, count: int) -> None:
        """Wait for so many answers more."""
        enough = len(self.answers) + count
        until(lambda: len(self.answers) >= enough, f"{count} answers; {self.failures[-3:]}")

    def _ask_on(self) -> None:
        line: http.client.HTTPConnection | None = None
        while not self._leaving.is_set():
            try:
                line = line or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                line.request("GET", "/")
                answer = line.getresponse()
                text = answer.read().decode()
                if answer.status == 200:
                    self.answers.append(text.split())
                else:
                    self.failures.append(f"{answer.status} {text}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                line = None
