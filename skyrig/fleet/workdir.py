"""Which files of a local folder are sent to a cluster.

A .skyignore at the top decides alone, if there is one; else .gitignore files do, as in git (those of nested folders,
of the folders above up to the repository, .git/info/exclude, and files that are tracked though ignored). `.git` stays
at home unless .skyignore says `!.git`.
"""

# Paths are bytes or plain text here, which pathlib refuses or is too slow for.
# ruff: noqa: PTH112, PTH115, PTH117, PTH118, PTH120, PTH123

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field, frozen

from skyrig.errors import BadInput
from skyrig.fleet.content import raw, text
from skyrig.fleet.gitignore import Rules
from skyrig.fleet.words import paths_in

LARGEST_NAMED = 64 << 20
"""Size in bytes up to which an ignored file goes along because setup or run names it."""


@frozen
class Picked:
    """One path to send: `kind` is "file", "dir" or "link"; a `private` file arrives with mode 0600."""

    path: str
    kind: str
    private: bool = False


@frozen
class Selection:
    """What is sent: `picked` in path order, every folder before what lies in it; `notes` are lines for the user."""

    picked: tuple[Picked, ...]
    notes: tuple[str, ...] = ()


def select(root: Path, *, named_in: Sequence[str] = (), what: str = "workdir") -> Selection:
    """The files, links and folders below `root` that are sent.

    `named_in` are the texts of setup and run: an ignored file whose path stands in one of them goes along as private,
    with a note. Links are sent as links; sockets, pipes and devices are left out with a note. BadInput where `root` is
    no folder, or a file or folder that would be sent cannot be read; it and the notes call the folder `what`.
    """
    top = os.path.realpath(os.fsencode(root))
    if not os.path.isdir(top):
        raise BadInput(f"{what} {os.fspath(root)!r} is no folder", hint="give a folder that is there")
    walk = _Walk(top, what, _outer_rules(top, what))
    walk.folder(b"", ())
    for path in _tracked(top) if walk.outer.by_git else ():
        walk.add_ignored(path, private=False)
    for path in (raw(word) for word in paths_in(named_in)):
        walk.add_ignored(path, private=True)
    ordered = sorted(walk.picked.items())
    return Selection(tuple(picked for _, picked in ordered), tuple(walk.notes))


_Chain = tuple[tuple[int, Rules], ...]
"""Rules that apply in a folder, nearest last, each with the length of the part of the path that it is not told of."""


@frozen
class _Outer:
    """What is decided before the walk: whether .gitignore files count and `.git` is sent, and the rules from elsewhere,
    which see `prefix` before each path."""

    by_git: bool = True
    with_git: bool = False
    prefix: bytes = b""
    chain: _Chain = ()


@define
class _Walk:
    """The folders from `top` down."""

    top: bytes
    what: str
    outer: _Outer
    picked: dict[bytes, Picked] = field(factory=dict)
    notes: list[str] = field(factory=list)

    def folder(self, path: bytes, chain: _Chain) -> None:
        """Pick what is wanted of one folder and of those below it."""
        if self.outer.by_git and (rules := _rules_of(os.path.join(self.top, path, b".gitignore"))):
            chain = (*chain, (len(path) + 1 if path else 0, rules))
        for entry in self._scan(path):
            below = path + b"/" + entry.name if path else entry.name
            is_dir = entry.is_dir(follow_symlinks=False)
            if self._ignored(below, entry.name, is_dir, chain):
                continue
            if is_dir:
                self.picked[below] = Picked(text(below), "dir")
                self.folder(below, chain)
            else:
                self._leaf(below, entry.stat(follow_symlinks=False).st_mode)

    def add_ignored(self, path: bytes, *, private: bool) -> None:
        """Pick a file that the rules left out, with the folders above it, if there is such a file."""
        if path in self.picked or not (found := self._inside(path)):
            return
        name = text(path)
        if private:
            if not stat.S_ISREG(found.st_mode) or self._of_an_environment(path):
                return
            if found.st_size > LARGEST_NAMED:
                size = f"over {LARGEST_NAMED >> 20} MiB"
                self.notes.append(f"{name!r} is ignored and {size}: not sent, though setup or run names it")
                return
            self.notes.append(f"{name!r} is ignored, but setup or run names it: sent, with mode 0600")
        for at in range(1, len(path)):
            if path[at : at + 1] == b"/":
                self.picked.setdefault(path[:at], Picked(text(path[:at]), "dir"))
        self._leaf(path, found.st_mode, private)

    def _scan(self, path: bytes) -> list[os.DirEntry[bytes]]:
        try:
            with os.scandir(os.path.join(self.top, path) if path else self.top) as entries:
                return list(entries)
        except OSError as error:
            raise _unreadable(self.what, path, error.strerror) from error

    def _ignored(self, path: bytes, name: bytes, is_dir: bool, chain: _Chain) -> bool:
        if name == b".git" and not self.outer.with_git:
            return True
        for start, rules in reversed(chain):
            verdict = rules.verdict(path[start:], is_dir=is_dir)
            if verdict is not None:
                return verdict
        for start, rules in reversed(self.outer.chain):
            verdict = rules.verdict((self.outer.prefix + path)[start:], is_dir=is_dir)
            if verdict is not None:
                return verdict
        return False

    def _leaf(self, path: bytes, mode: int, private: bool = False) -> None:
        place = os.path.join(self.top, path)
        if stat.S_ISLNK(mode):
            self._note_link(path, os.readlink(place))
            self.picked[path] = Picked(text(path), "link")
        elif stat.S_ISREG(mode):
            if not os.access(place, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
                raise _unreadable(self.what, path, "permission denied")
            self.picked[path] = Picked(text(path), "file", private)
        else:
            self.notes.append(f"{text(path)!r} is a socket, pipe or device: not sent")

    def _note_link(self, path: bytes, link: bytes) -> None:
        aim = os.path.normpath(os.path.join(os.path.dirname(path), link))
        if os.path.isabs(aim) or aim.split(b"/")[0] == b"..":
            self.notes.append(
                f"{text(path)!r} is a link out of the {self.what}: the nodes will look for {text(link)!r}"
            )

    def _inside(self, path: bytes) -> os.stat_result | None:
        """Stat of `path` if it exists and no folder on the way to it is a link."""
        parts = path.split(b"/")
        if any(part in (b"", b".", b"..") for part in parts) or b"\0" in path:
            return None
        try:
            for count in range(1, len(parts)):
                if not stat.S_ISDIR(os.lstat(os.path.join(self.top, *parts[:count])).st_mode):
                    return None
            return os.lstat(os.path.join(self.top, path))
        except OSError:  # there is no such file, which is the usual case for a word of a script
            return None

    def _of_an_environment(self, path: bytes) -> bool:
        """Whether `path` belongs to a Python environment, which is of no use on another machine."""
        parts = path.split(b"/")
        folders = (os.path.join(self.top, *parts[:count]) for count in range(1, len(parts)))
        return any(os.path.lexists(os.path.join(folder, b"pyvenv.cfg")) for folder in folders)


def _outer_rules(top: bytes, what: str) -> _Outer:
    skyignore = os.path.join(top, b".skyignore")
    if os.path.lexists(skyignore):
        try:
            lines = Path(os.fsdecode(skyignore)).read_bytes()
        except OSError as error:
            raise _unreadable(what, b".skyignore", error.strerror) from error
        with_git = re.search(rb"^!/?\.git/?\s*$", lines, re.MULTILINE) is not None
        return _Outer(by_git=False, with_git=with_git, chain=((0, Rules(lines)),))
    repository = _repository(top)
    if repository is None:
        return _Outer()
    prefix = os.path.relpath(top, repository) + b"/" if top != repository else b""
    outer = [(0, rules) for rules in (_rules_of(os.path.join(repository, b".git", b"info", b"exclude")),) if rules]
    at = 0
    while at < len(prefix):
        if rules := _rules_of(os.path.join(repository, prefix[:at], b".gitignore")):
            outer.append((at, rules))
        at = prefix.index(b"/", at) + 1
    return _Outer(prefix=prefix, chain=() if _covers(outer, prefix) else tuple(outer))


def _covers(outer: Sequence[tuple[int, Rules]], prefix: bytes) -> bool:
    """Whether the rules above ignore the workdir itself: it was asked for by name, so they do not count then."""
    at = prefix.find(b"/")
    while at > 0:
        for start, rules in reversed(outer):
            verdict = rules.verdict(prefix[start:at], is_dir=True) if start < at else None
            if verdict is not None:
                if verdict:
                    return True
                break
        at = prefix.find(b"/", at + 1)
    return False


def _repository(top: bytes) -> bytes | None:
    """The folder at or above `top` that holds `.git`."""
    folder = top
    while not os.path.lexists(os.path.join(folder, b".git")):
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            return None
    return folder


def _rules_of(path: bytes) -> Rules | None:
    """The rules of an ignore file; None if there is none. Git, too, follows no link here."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return Rules(file.read())
    except OSError:
        return None


def _tracked(top: bytes) -> Iterator[bytes]:
    """Files that git tracks though they are ignored. Without git, or where it declines, there are none."""
    if _repository(top) is None:
        return
    command = ["git", "ls-files", "-z", "--cached", "--ignored", "--exclude-standard"]
    try:
        answer = subprocess.run(command, cwd=top, capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return
    yield from filter(None, answer.stdout.split(b"\0"))


def _unreadable(what: str, path: bytes, reason: str | None) -> BadInput:
    which = f"{text(path)!r}" if path else "the folder itself"
    why = (reason or "cannot be read").lower()
    return BadInput(f"{what}: {which}: {why}", hint="mend it, or name it in .skyignore")
