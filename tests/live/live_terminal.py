"""A terminal for whole commands, and what a reader sees on one."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from select import select

HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"
_PARTS = re.compile(rb"\x1b\[([?0-9;]*)([A-Za-z])|([\r\n\b\x07])|([^\x1b\r\n\b\x07]+)")


class Terminal:
    """A command on a pseudo-terminal of 80 columns. `said` is every byte that it wrote there so far."""

    def __init__(self, argv: list[str], folder: Path, env: Mapping[str, str]) -> None:
        self.said = b""
        self.code: int | None = None
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
                os.chdir(folder)
                os.execvpe(argv[0], argv, {**env, "TERM": "xterm-256color"})
            finally:
                os._exit(127)

    def until(self, wanted: bytes | Callable[[bytes], bool], seconds: float = 90) -> None:
        """Read until the command has written `wanted`, or what it wrote is as wanted."""
        met = wanted if callable(wanted) else lambda said: wanted in said
        deadline = time.monotonic() + seconds
        while not met(self.said):
            assert time.monotonic() < deadline, self.told()
            assert self._read(0.2) or met(self.said), self.told()

    def until_stopped(self, seconds: float = 20) -> None:
        """Wait until the command has been stopped, as with Ctrl-Z."""
        deadline = time.monotonic() + seconds
        while not os.WIFSTOPPED(os.waitpid(self.pid, os.WUNTRACED | os.WNOHANG)[1]):
            assert time.monotonic() < deadline, self.told()
            self._read(0.05)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def end(self, seconds: float = 60) -> int:
        """Read to the command's end; its exit code, negative for a signal."""
        deadline = time.monotonic() + seconds
        while self._read(0.2):
            assert time.monotonic() < deadline, self.told()
        os.close(self._master)
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def told(self) -> str:
        """Everything, for a failed assertion."""
        return self.said.decode(errors="replace").replace("\x1b", "ESC")

    def _read(self, seconds: float) -> bool:
        """Take what comes within a moment; false at the end."""
        if not select([self._master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux's word for a terminal that nobody has open any more
            data = b""
        self.said += data
        return bool(data)


def seen(said: bytes) -> list[str]:
    """The lines that a terminal without end, below and to the right, shows after these bytes. A sequence that it does
    not know fails the test."""
    lines, row, column = [""], 0, 0
    at = 0
    while at < len(said):
        part = _PARTS.match(said, at)
        assert part is not None, said[at : at + 40]
        at, (given, order, control, text) = part.end(), part.groups()
        if text is not None:
            words = text.decode(errors="replace")
            lines[row] = lines[row].ljust(column)[:column] + words + lines[row][column + len(words) :]
            column += len(words)
        elif control == b"\r":
            column = 0
        elif control == b"\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif order == b"A":
            row = max(0, row - int(given or 1))
        elif order == b"K" and given == b"2":
            lines[row] = ""
        else:
            assert order == b"m" or (given, order) in ((b"?25", b"l"), (b"?25", b"h")), (given, order)
    return [line.rstrip() for line in lines]


def cursor_is_shown(said: bytes) -> bool:
    """Whether the cursor can be seen after these bytes."""
    return said.rfind(SHOW) >= said.rfind(HIDE)
