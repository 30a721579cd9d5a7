"""Copies of files that stay as they were: what a sync would send, in a folder of the package's own.

A copy shares its blocks with the user's file where the file system can do that (btrfs, xfs, APFS by clonefile), and is
one file with the copy in the package before where nothing changed; it is never one file with the user's own, which is
edited in place.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from skyrig.errors import BadInput
from skyrig.fleet.workdir import Picked, select

_FICLONE = 0x40049409
"""The ioctl with which Linux makes a file share the blocks of another one."""

_SKYIGNORE = ".skyignore"


def folder(
    source: Path,
    target: Path,
    before: Path | None,
    *,
    named_in: tuple[str, ...],
    what: str,
    notify: Callable[[str], None],
) -> None:
    """Copy of `source` what a sync sends to the new folder `target`, from which a sync sends the same again. `before`
    is the copy in the package before this one, if any; `named_in` and `what` are as for `select`. BadInput where
    something cannot be read."""
    selection = select(source, named_in=named_in, what=what)
    for note in selection.notes:
        notify(note if what == "workdir" else f"{what}: {note}")
    target.mkdir(mode=0o700, parents=True)
    top = Path(os.path.realpath(source))
    folders = []
    for picked in selection.picked:
        path = target / picked.path
        if picked.kind == "dir":
            path.mkdir(mode=0o700)
            folders.append((path, top / picked.path))
        else:
            _one(top / picked.path, path, before / picked.path if before is not None else None, what)
    if not (target / _SKYIGNORE).exists():
        _rule_out_nothing(target, selection.picked)
    for path, original in folders:
        path.chmod(stat.S_IMODE(original.stat().st_mode) & 0o777 | 0o700)


def file(source: Path, target: Path, before: Path | None, *, what: str) -> None:
    """Copy one file; a link that is named itself is followed. BadInput where it cannot be read."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _one(source.resolve(), target, before, what)


def _one(source: Path, target: Path, before: Path | None, what: str) -> None:
    try:
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif before is not None and _same(source, before):
            os.link(before, target)
        else:
            _copy(source, target)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise BadInput(f"{what}: {str(source)!r}: {reason}", hint="mend it, or name it in .skyignore") from error


def _same(source: Path, before: Path) -> bool:
    """Whether our own earlier copy is of the file as it is now: by size, time of the last change and mode."""
    try:
        ours = before.lstat()
    except OSError:
        return False
    theirs = source.lstat()
    marks = [(found.st_size, found.st_mtime_ns, found.st_mode) for found in (ours, theirs)]
    return marks[0] == marks[1]


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as given, target.open("xb") as made:
        try:
            fcntl.ioctl(made.fileno(), _FICLONE, given.fileno())
        except OSError:  # the file system cannot, or they are on two of them
            shutil.copyfileobj(given, made, 1 << 20)
    shutil.copystat(source, target)


def _rule_out_nothing(target: Path, picked: tuple[Picked, ...]) -> None:
    """A .skyignore by which all of the copy is sent but itself: .gitignore files have said all they have to say. Files
    that went along because setup or run name them are ignored by it, so that they do again, and as private ones."""
    names = [each.path for each in picked if each.private]
    (target / _SKYIGNORE).write_bytes(b"".join(b"/%s\n" % _pattern(os.fsencode(name)) for name in [_SKYIGNORE, *names]))


def _pattern(path: bytes) -> bytes:
    """A path as a rule that means it alone."""
    return b"".join(b"\\" + bytes([byte]) if byte in b"*?[]\\ !#" else bytes([byte]) for byte in path)
