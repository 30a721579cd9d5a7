"""The one line in the user's own OpenSSH config through which plain `ssh NAME` knows the clusters of this SKYRIG_HOME.

It includes the `ssh_config` of every stack and stands first, since an Include after a Host block is good for that
block alone, and since of two values of an option OpenSSH takes the first. It comes with the first cluster and goes with
the last one, after which the file is what it was before, byte by byte; what we had to make is gone again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from skyrig import places

Notify = Callable[[str], None]
"""Takes one line for the reader."""

_MADE_FILE = b"# Skyrig made this file; it goes with the last cluster, unless something else stands in it by then.\n"
_MADE_FOLDER = b"# Skyrig made this file and folder; both go with the last cluster, unless something else is there.\n"
_ANY_OF_OURS = re.compile(rb'(?m)^Include ".*/stacks/\*/ssh_config"$')
_FIRST_BLOCK = re.compile(rb"(?mi)^[ \t]*(host|match)[ \t=]")


def users_file() -> Path | None:
    """The config that plain `ssh` shall know the clusters by: SKYRIG_SSH_CONFIG, else ~/.ssh/config. None where that
    variable is set to nothing, which means that no such file is touched."""
    given = os.environ.get("SKYRIG_SSH_CONFIG")
    if given is not None:
        return Path(given).expanduser().absolute() if given else None
    try:
        return Path.home() / ".ssh" / "config"
    except RuntimeError:  # no home is known
        return None


def line() -> bytes:
    """The Include line of this SKYRIG_HOME, with its newline."""
    files = places.stack("*") / "ssh_config"
    inside = files.relative_to(places.home())
    return os.fsencode(f'Include "{_literal(str(places.home()))}/{inside}"\n')


def add(name: str, notify: Notify) -> None:
    """Put the line into the user's config if it is not there yet, and say so by the cluster `name`. Where that cannot
    be done it is said in one line, and the cluster is none the worse."""
    file = users_file()
    if file is None:
        return
    try:
        with _turn():  # also to look: one who takes the line away may be just about to
            before = _read(file)
            if _has_effect(before):
                return
            _write_first_line(Path(os.path.realpath(file)), before)
    except OSError as error:
        reason = error.strerror or str(error)
        notify(f"{_shown(file)} cannot be written ({reason}): plain ssh does not know {name}, `ssh -c {name}` does")
        return
    notify(f"{_shown(file)} includes Skyrig's clusters now: `{_command(file)} {name}` works")


def remove(notify: Notify) -> None:
    """Take the line away where no stack of this SKYRIG_HOME has an `ssh_config` any more."""
    file = users_file()
    if file is None:
        return
    try:
        if not _is_in(_read(file)):
            return
        with _turn():  # a cluster that comes meanwhile has its file there before it asks for the line
            text = _read(file)
            if text is not None and _is_in(text) and not any(_stack_files()):
                _write_rest(Path(os.path.realpath(file)), text)
    except OSError as error:
        notify(f"{_shown(file)} keeps its Include of Skyrig's clusters ({error.strerror or error})")


def _stack_files() -> Iterator[Path]:
    pattern = places.stack("*") / "ssh_config"
    return places.home().glob(str(pattern.relative_to(places.home())))


def _write_first_line(target: Path, before: bytes | None) -> None:
    _refuse(target)
    if before is not None:
        _put(target, line() + before)
        return
    made = _MADE_FILE
    with contextlib.suppress(FileExistsError):
        target.parent.mkdir(mode=0o700)
        made = _MADE_FOLDER
    _put(target, made + line())


def _write_rest(target: Path, text: bytes) -> None:
    _refuse(target)
    ours = line().rstrip()
    rest = b"".join(each for each in text.splitlines(keepends=True) if each.rstrip(b"\r\n") != ours)
    if _ANY_OF_OURS.search(rest) is None:
        for made in (_MADE_FILE, _MADE_FOLDER):
            if rest == made:
                target.unlink()
                if made is _MADE_FOLDER:
                    with contextlib.suppress(OSError):  # something else is in it
                        target.parent.rmdir()
                return
            rest = rest.replace(made, b"")
    _put(target, rest)


def _refuse(target: Path) -> None:
    """PermissionError for a file that is read-only or somebody else's, which replacing it would pass over, and for
    root where the folder is a user's (sudo): ssh would not take root's file there."""
    there = next(each for each in (target, *target.parents) if each.exists())
    found = there.stat()
    if found.st_uid != os.geteuid() and (there == target or os.geteuid() == 0):
        raise PermissionError(errno.EPERM, "it is somebody else's")
    if there == target and not found.st_mode & stat.S_IWUSR:
        raise PermissionError(errno.EACCES, "it is read-only")


def _put(target: Path, text: bytes) -> None:
    """Replace `target` as a whole, or make it (0600); mode, owner and extended attributes stay."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        if target.exists():
            if target.stat().st_gid != fresh.stat().st_gid:
                os.chown(fresh, -1, target.stat().st_gid)
            shutil.copystat(target, fresh)
            os.utime(fresh)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _is_in(text: bytes | None) -> bool:
    return text is not None and line().rstrip() in text.splitlines()


def _has_effect(text: bytes | None) -> bool:
    """Whether the line stands where it is good for every host: before any block."""
    block = _FIRST_BLOCK.search(text or b"")
    return _is_in(text[: block.start()] if text and block else text)


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """One writer at a time, also of several SKYRIG_HOMEs."""
    with (places.made(places.cache()) / "ssh-config.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def _literal(path: str) -> str:
    """A path as an Include pattern that matches it. What OpenSSH may take for a quote or for something to expand
    (which differs by version) becomes `?`, which any character matches."""
    return "".join("?" if c in "%$\"'\\\n" else f"[{c}]" if c in "[*?" else c for c in path)


def _shown(file: Path) -> str:
    home = os.environ.get("HOME", "")
    return f"~/{file.relative_to(home)}" if home and file.is_relative_to(home) else str(file)


def _command(file: Path) -> str:
    """How `ssh` is called so that it reads `file`: it asks the password database for the home folder, not HOME."""
    try:
        usual = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".ssh" / "config"
    except KeyError:
        return f"ssh -F {file}"
    return "ssh" if os.path.realpath(usual) == os.path.realpath(file) else f"ssh -F {file}"
