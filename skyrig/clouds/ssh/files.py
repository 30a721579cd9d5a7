"""On a machine: the files of somebody else's home in which lines of ours stand, changed so that nothing else changes.

Standard library only, Python 3.8 or newer: it is sent along with each question.
"""

# Paths are plain text here; the standard library of 3.8 has no shorter way.

from __future__ import annotations

import base64
import contextlib
import fcntl
import glob
import os
from collections.abc import Iterator
from typing import Any

KEYS = "~/.ssh/authorized_keys"
CONFIG = "~/.ssh/config"
INCLUDE = b'.skyrig/ssh/config"'
"""In the line of ~/.ssh/config by which jobs reach the other nodes by name."""

INTERNAL = b" skyrig-internal"
"""What the line of the cluster's internal key ends with."""

_OPTIONS = b'restrict,command="false",port-forwarding,'
"""What the key of such a line may do: no command runs, and no terminal opens."""

GATE = b" skyrig-gate-"
"""Before the mark of a line with which a machine may be passed through."""


@contextlib.contextmanager
def turn(name: str = "~/.ssh") -> Iterator[None]:
    """Nobody else of ours changes what is in a folder meanwhile. The folder itself is locked: nothing is left of
    that."""
    folder = os.path.expanduser(name)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def snapshot() -> dict[str, Any]:
    """Both files as they are: content and mode, None where there is none."""
    return {name: _snapped(os.path.expanduser(name)) for name in (KEYS, CONFIG)}


def _snapped(path: str) -> Any:
    try:
        with open(path, "rb") as file:
            return [base64.b64encode(file.read()).decode(), os.fstat(file.fileno()).st_mode & 0o7777]
    except FileNotFoundError:
        return None


def let_in(key: str) -> None:
    """Let a key in, before all lines that are there: of two lines of one key sshd takes the first."""
    with turn():
        lines = _lines(KEYS)
        wanted = key.encode() + b"\n"
        if wanted not in lines:
            _put(KEYS, [wanted, *lines])


def pass_through(mark: str, key: str, place: str) -> None:
    """Let a key through to a `place` (HOST:PORT), and to nothing else here. What a line of that mark opens already
    stays; it stands after all lines that open this machine itself."""
    with turn():
        lines = _lines(KEYS)
        before = next((line for line in lines if _is_gate(line, mark)), b"")
        places = sorted({*_opened(before), place.encode()})
        opens = b",".join(b'permitopen="' + each + b'"' for each in places)
        line = _OPTIONS + opens + b" " + b" ".join(key.encode().split()[:2])
        line += GATE + mark.encode() + b"\n"
        if line == before:
            return
        others = [each for each in lines if not _is_gate(each, mark)]
        first = next((number for number, each in enumerate(others) if not _is_ours(each)), len(others))
        _put(KEYS, [*others[:first], line, *others[first:]])


def shut(mark: str, place: str) -> None:
    """Let nobody through to that place ("": to any) by the line of that mark; without any place the line goes."""
    with turn():
        lines = _lines(KEYS)
        kept = []
        for line in lines:
            if _is_gate(line, mark):
                places = [each for each in _opened(line) if place and each != place.encode()]
                if not places:
                    continue
                opens = b",".join(b'permitopen="' + each + b'"' for each in places)
                line = _OPTIONS + opens + b" " + b" ".join(line.split()[-3:]) + b"\n"
            kept.append(line)
        if kept != lines:
            _put(KEYS, kept)


def gates() -> list[str]:
    """Marks of the lines by which this machine may be passed through."""
    return [line.split()[-1][len(GATE) - 1 :].decode() for line in _lines(KEYS) if GATE in line]


def restore(before: dict[str, Any], key: str) -> None:
    """Take our lines out again. What nobody else has changed is afterwards as it was, byte by byte."""
    with turn():
        known = _decoded(before[KEYS])
        ours = {key.encode(), *(line for line in _bare(_lines(KEYS)) if line.endswith(INTERNAL))} - set(_bare(known))
        _back(KEYS, before[KEYS], [line for line in _lines(KEYS) if line.rstrip(b"\r\n") not in ours])
        lines = _lines(CONFIG)
        kept = [line for line in lines if not (line.startswith(b"Include ") and INCLUDE in line)]
        if kept != lines and kept[:1] == [b"\n"]:
            kept = kept[1:]
        _back(CONFIG, before[CONFIG], kept)


def _back(name: str, before: Any, kept: list[bytes]) -> None:
    """Write `kept` to a file; where its lines are those of `before`, exactly that."""
    old = _decoded(before)
    passing, rest = [line for line in kept if GATE in line], [line for line in kept if GATE not in line]
    old = [line for line in old if GATE not in line]  # lines to pass through come and go by themselves
    wanted = [*passing, *old] if _bare(rest) == _bare(old) else kept
    if before is None and not b"".join(wanted).strip():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.expanduser(name))
    else:
        _put(name, wanted, before[1] if before is not None else 0o600)


def _bare(lines: list[bytes]) -> list[bytes]:
    return [line.rstrip(b"\r\n") for line in lines]


def _decoded(before: Any) -> list[bytes]:
    return base64.b64decode(before[0]).splitlines(True) if before is not None else []


def _is_gate(line: bytes, mark: str) -> bool:
    return line.rstrip().endswith(GATE + mark.encode())


def _is_ours(line: bytes) -> bool:
    """Whether a line lets in a key of a cluster: such lines stand first."""
    words = line.split()
    return len(words) == 3 and words[0].startswith(b"ssh-") and words[2].startswith(b"skyrig-")


def _opened(line: bytes) -> list[bytes]:
    return [part.split(b'"')[1] for part in line.split(b" ")[0].split(b",") if part.startswith(b"permitopen=")]


def _lines(name: str) -> list[bytes]:
    try:
        with open(os.path.expanduser(name), "rb") as file:
            return file.read().splitlines(True)
    except FileNotFoundError:
        return []


def _put(name: str, lines: list[bytes], mode: int = -1) -> None:
    """Write a file, whole or not at all; a link stays one."""
    path = os.path.realpath(os.path.expanduser(name))
    if mode < 0:
        mode = os.stat(path).st_mode & 0o7777 if os.path.exists(path) else 0o600
    for left in glob.glob(glob.escape(path) + ".skyrig-*"):  # by a run that was killed: this is our turn
        os.unlink(left)
    fresh = "%s.skyrig-%d" % (path, os.getpid())
    written(fresh, b"".join(lines), mode)
    os.replace(fresh, path)


def written(path: str, content: bytes, mode: int = 0o600) -> None:
    """Write a file that is on the disk afterwards."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
