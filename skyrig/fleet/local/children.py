"""The processes that a node's server starts, and, where the server is process 1 of its node, their orphans.

One place reaps all: an init must wait for whatever is handed to it, and a second waiter would steal results.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from typing import Any


class Children:
    """Starts child processes and reaps every child of this process; one for the process, in its event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[int, tuple[subprocess.Popen[bytes], asyncio.Future[int]]] = {}
        loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def start(self, argv: list[str], **options: Any) -> tuple[int, asyncio.Future[int]]:
        """Start `argv` as the leader of a new session; its id, and its exit code to come (negative: the signal).

        `options` are those of subprocess.Popen. OSError if it cannot be started.
        """
        process = subprocess.Popen(argv, start_new_session=True, **options)
        ended: asyncio.Future[int] = self._loop.create_future()
        self._waiting[process.pid] = (process, ended)
        return process.pid, ended

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            process, ended = self._waiting.pop(pid, (None, None))
            if process is not None and ended is not None:
                process.returncode = os.waitstatus_to_exitcode(status)
                if not ended.done():
                    ended.set_result(process.returncode)
