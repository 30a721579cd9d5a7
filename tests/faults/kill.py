"""Deaths and standstills of processes, always of exactly the process that was meant."""

from __future__ import annotations

import contextlib
import os
import signal

from faults.fault import Fault
from faults.node import Process


def send(process: Process, number: int) -> bool:
    """Signal this very process; False if it is gone, also where another one has its pid by now."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not process.alive:
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


class Killed(Fault):
    """SIGKILL to `process`. There is nothing to undo: who watches over it brings up another one."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self.process = process

    def _do(self) -> None:
        send(self.process, signal.SIGKILL)

    def _undo(self) -> None:
        """Nobody comes back from the dead."""


class Frozen(Fault):
    """SIGSTOP to `processes`, SIGCONT at the end: they are there, and do nothing."""

    def __init__(self, *processes: Process) -> None:
        super().__init__()
        self.processes = processes

    def _do(self) -> None:
        for process in self.processes:
            send(process, signal.SIGSTOP)

    def _undo(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                send(process, signal.SIGCONT)
