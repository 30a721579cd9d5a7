"""Images of the local cloud: what setup has made on a node, kept as a folder that new nodes begin with.

A version of an image is a folder that nobody writes to once it is there: home, python environment, and on level
`namespaces` what was changed below the host's folders. A node that begins with it gets a copy (of blocks where the file
system shares them), in which the place of the node that it was made of is replaced by its own: programs that pip has
installed, links and configuration files name their place. What belonged to that node alone is left out: keys, jobs,
history, the keeper's files.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from skyrig.fleet.local.files import remove_tree
from skyrig.fleet.local.layout import LocalNodeError, NodeFolder
from skyrig.images import unkept

PARTS = ("home", "env", "changes")
"""What of a node's folder is in an image."""

_LAID_OVER = "changes"
"""The one of them that lies over the host's folders: what is written there goes into the file that is there."""

_DESCRIPTION = "image.json"
"""In a version's folder; written last, so that a version is whole or not there."""

_KEPT_OF_SKYRIG = ("setup.json", "workdir.json")
"""What stays of ~/.skyrig: which setup was done, and which files of the workdir were brought."""

_KEPT_OF_SSH = ("config", "known_hosts")

_SHARED = re.compile(r"\.(py|pyc|pyi|h|hpp|cuh|a|so(\.[0-9.]+)?)$")
"""Files of installed packages that a node has as links to the image's own (see `_share`)."""

_FICLONE = 0x40049409
"""The ioctl with which Linux makes a file share the blocks of another one."""

_LONGEST_TEXT = 16 << 20
_CHUNK = 1 << 20


class Made(NamedTuple):
    """What is known of one version: `level` of the node it was made of, its `python` (version and machine), the `place`
    of that node, `texts` and `links` that name it, how many `binaries` do, whether folders of the system `changed`, and
    its size in `bytes`."""

    level: str
    python: str
    place: str
    texts: tuple[str, ...]
    links: tuple[str, ...]
    binaries: int
    changed: bool
    bytes: int


def python() -> str:
    """The python that an environment made here is of."""
    return f"{platform.python_implementation()} {platform.python_version()} {platform.machine()}"


def make(source: Path, target: Path) -> dict[str, Any]:
    """Make the version `target` of the node in the folder `source`, which is switched off; what is there already stays.
    LocalNodeError where there is no such node."""
    if (found := read(target)) is not None:
        return found._asdict()
    folder = NodeFolder(source)
    state = folder.read_state()
    if state is None or folder.power() != "stopped" or folder.alive():
        raise LocalNodeError(f"{source} is no node that is switched off", hint="build the image again")
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear_half_made(target)
    fresh.mkdir(mode=0o700)
    for part in PARTS:
        if (source / part).is_dir():
            _copy(source / part, fresh / part)
    _clean(fresh)
    made = _described(fresh, source, str(state["level"]))
    (fresh / _DESCRIPTION).write_text(json.dumps(made._asdict()))
    fresh.rename(target)
    return made._asdict()


def read(version: Path) -> Made | None:
    """What is known of a version; None where it is not there."""
    try:
        said = json.loads((version / _DESCRIPTION).read_bytes())
        return Made(**{**said, "texts": tuple(said["texts"]), "links": tuple(said["links"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def check(version: Path) -> dict[str, Any]:
    """What is known of a version; {} where it is not there."""
    found = read(version)
    return found._asdict() if found is not None else {}


def remove(version: Path) -> dict[str, Any]:
    """Remove a version, and the folder of its image with the last one."""
    if version.parent.is_dir():
        remove_tree(version / _DESCRIPTION)
        remove_tree(version)
        _clear_half_made(version)
        if not any(version.parent.iterdir()):
            version.parent.rmdir()
    return {}


def begin(version: Path, folder: NodeFolder, level: str) -> None:
    """Put what a version holds into the folder of a node that is being made. LocalNodeError where the version is not
    there, or is of no use on this level or with this python."""
    made = read(version)
    if made is None:
        raise LocalNodeError(f"the image in {version} is gone", hint="build it again")
    if made.python != python():
        raise LocalNodeError(f"the image is of {made.python}, and this is {python()}", hint="build it again")
    if level == "plain" and made.changed:
        raise LocalNodeError(
            "the image holds changes of the system's folders, which nodes of level plain share", hint="build it again"
        )
    for part in PARTS:
        if (version / part).is_dir():
            place = _copy if part == _LAID_OVER else _share
            place(version / part, folder.path / part)
    before, now = made.place.encode(), str(folder.path).encode()
    for name in made.texts:
        _rewrite(folder.path / name, before, now)
    for name in made.links:
        link = folder.path / name
        goal = os.fsencode(link.readlink()).replace(before, now)
        link.unlink()
        link.symlink_to(os.fsdecode(goal))


def _clear_half_made(target: Path) -> None:
    """Remove what runs before this one have left of a version. The engine runs one at a time for a stack."""
    for left in target.parent.glob(f".{target.name}.*"):
        remove_tree(left)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder with all that files have, and what overlays are made of, into `target`, which may be there."""
    failed = _cp(source, target, ["-ac"] if sys.platform == "darwin" else ["-a", "--reflink=auto"])
    if failed:
        raise LocalNodeError(f"{source} could not be copied: {failed}", hint="is there room on the disk?")


def _share(source: Path, target: Path) -> None:
    """Copy a folder, but for modules and libraries of installed packages: these are links to the files of the image.
    Installers put another file in the place of such a one and never write into it, which is why uv links them to its
    cache, too; an environment of gigabytes takes a second. All is copied where the file system has no such links."""
    if sys.platform == "darwin" or (target.is_dir() and any(target.iterdir())):
        _copy(source, target)
        return
    if _cp(source, target, ["-al"]):
        remove_tree(target)
        _copy(source, target)
        return
    for path in _entries(target):
        if path.is_file() and not path.is_symlink() and not _is_shared(path.relative_to(target)):
            _unshare(path)


def _is_shared(name: Path) -> bool:
    return "site-packages" in name.parts and bool(_SHARED.search(name.name))


def _unshare(path: Path) -> None:
    """Put a copy in the place of a link to a file."""
    fresh = path.with_name(f".skyrig-{secrets.token_hex(4)}")
    found = path.stat()
    try:
        with path.open("rb") as given, fresh.open("xb") as made:
            fcntl.ioctl(made.fileno(), _FICLONE, given.fileno())
    except OSError:  # the file system shares no blocks
        shutil.copyfile(path, fresh)
    os.chown(fresh, found.st_uid, found.st_gid)
    shutil.copystat(path, fresh)  # after the owner, whose change takes some modes away
    fresh.replace(path)


def _cp(source: Path, target: Path, how: list[str]) -> str:
    """What cp says last where it fails to copy what is in a folder into another one; "" where it has."""
    target.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["cp", *how, f"{source}/.", str(target)], capture_output=True, text=True, check=False)
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return said[-1] if done.returncode else ""


def _clean(root: Path) -> None:
    """Take out what belonged to the one node alone."""
    home = root / "home"
    for folder, kept in ((home / ".skyrig", _KEPT_OF_SKYRIG), (home / ".ssh", _KEPT_OF_SSH)):
        for entry in list(folder.iterdir()) if folder.is_dir() else ():
            if entry.name not in kept:
                remove_tree(entry)
    for name in (*unkept.CREDENTIALS, *unkept.LEFTOVERS):
        remove_tree(home / name)
    for entry in list((root / "changes").iterdir()) if (root / "changes").is_dir() else ():
        remove_tree(entry / "work")
        if entry.name in _own_pythons():
            remove_tree(entry)
    for where, folders, files in os.walk(root):
        for name in files:
            entry = Path(where, name)
            if not entry.is_symlink() and (entry.is_socket() or entry.is_fifo()):
                entry.unlink()
        if "__pycache__" in folders and Path(where).is_relative_to(root / "changes"):
            remove_tree(Path(where, "__pycache__"))
            folders.remove("__pycache__")


def _own_pythons() -> set[str]:
    """Names below `changes` of the python installations that Skyrig itself consists of: what runs in the node leaves
    compiled files there (see skyrig.fleet.local.mounts)."""
    places = [Path(place).resolve() for place in (sys.prefix, sys.base_prefix, *sys.path)]
    return {str(place).strip("/").replace("/", "%") for place in places if len(place.parts) > 2}


def _described(root: Path, source: Path, level: str) -> Made:
    """What a version holds that names the place `source`. What is compiled of such a module goes: one that is rewritten
    keeps its time, and its size too where both places are as long, so that python would take it for the same."""
    place = os.fsencode(source)
    texts: list[str] = []
    links: list[str] = []
    stale: list[Path] = []
    binaries, size, changed = 0, 0, False
    for path in _entries(root):
        name = str(path.relative_to(root))
        changed = changed or (name.startswith("changes/") and not name.endswith("/etc/upper/passwd"))
        if path.is_symlink():
            links += [name] if place in os.fsencode(path.readlink()) else []
        elif path.is_file():
            size += path.stat().st_size
            kind = _naming(path, place)
            texts += [name] if kind == "text" else []
            stale += _compiled(path) if kind == "text" else []
            binaries += kind == "binary"
    for path in stale:
        path.unlink()
    return Made(level, python(), str(source), tuple(texts), tuple(links), binaries, changed, size)


def _compiled(path: Path) -> list[Path]:
    """Compiled files of a module."""
    return list((path.parent / "__pycache__").glob(f"{glob.escape(path.stem)}.*.pyc")) if path.suffix == ".py" else []


def _naming(path: Path, place: bytes) -> str:
    """text or binary for a file that holds `place`, "" for one that does not. Python looks up by itself where compiled
    files lie."""
    if path.suffix == ".pyc":
        return ""
    with path.open("rb") as file:
        if path.stat().st_size <= _LONGEST_TEXT:
            content = file.read()
            return "" if place not in content else "binary" if b"\0" in content else "text"
        before = b""
        while chunk := file.read(_CHUNK):
            if place in before + chunk:
                return "binary"
            before = chunk[-len(place) :]
    return ""


def _entries(root: Path) -> Iterator[Path]:
    """All that is no folder."""
    for where, folders, files in os.walk(root):
        yield from (Path(where, name) for name in files)
        yield from (Path(where, name) for name in folders if Path(where, name).is_symlink())


def _rewrite(path: Path, before: bytes, now: bytes) -> None:
    """Replace a place in a text; the file keeps its mode and times, and is no link to the image's."""
    found = path.stat()
    if found.st_nlink > 1:
        _unshare(path)
    path.write_bytes(path.read_bytes().replace(before, now))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    shutil.copymode(path, path)
