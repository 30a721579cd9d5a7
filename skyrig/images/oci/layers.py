"""Layers of container images: laid over a folder, and made out of what has changed in one."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from skyrig.errors import BadInput

_GONE, _OPAQUE = ".wh.", ".wh..wh..opq"
_MOST_LINKS = 40
_XATTRS = ("security.capability", "user.")

Seen = Mapping[str, tuple[int, ...]]
"""What the disk says of each path of a folder, by which a later look finds what has changed."""


def lay(root: Path, archive: Path) -> None:
    """Lay a layer, a plain or packed archive, over what is in the folder `root`: nothing outside of it is touched,
    wherever links in it lead. What it takes away is what lay there before it, wherever in it that is said. BadInput for
    what is no such archive."""
    own: set[Path] = {root}
    try:
        with tarfile.open(archive) as layer:
            for member in layer:
                _lay(root, layer, member, own)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BadInput(f"{archive} is no layer that can be read: {error}") from error


def seen(root: Path) -> dict[str, tuple[int, ...]]:
    """All that is in a folder. Times of folders do not count: they change with what is in them."""
    found = {}
    for path in walk(root):
        said = path.lstat()
        times = () if stat.S_ISDIR(said.st_mode) else (said.st_size, said.st_mtime_ns, said.st_ctime_ns, said.st_ino)
        found[str(path.relative_to(root))] = (said.st_mode, said.st_uid, said.st_gid, *times)
    return found


def packed(root: Path, before: Seen, archive: Path, left_out: tuple[str, ...] = (), latest: int | None = None) -> int:
    """Write what differs in `root` from `before`, and what of that is gone, as a plain archive; how many entries it
    has. Paths in `left_out`, and all below them, are no part of it. Folders in which something differs come along, for
    who unpacks a layer by itself gives folders that it does not hold modes of their own. No time is later than `latest`
    in seconds since the epoch (None: as it is)."""
    now = seen(root)
    given: set[str] = set()
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as layer:

        def add(name: str) -> None:
            if name in given:
                return
            if parent := name.rpartition("/")[0]:
                add(parent)
            given.add(name)
            _add(layer, root, name, latest)

        for name in sorted({*now, *before}):
            parent, _, last = name.rpartition("/")
            if any(name == each or name.startswith(f"{each}/") for each in left_out):
                continue
            if name in now and before.get(name) != now[name]:
                add(name)
            elif name not in now and (not parent or (parent in now and stat.S_ISDIR(now[parent][0]))):
                if parent:
                    add(parent)
                gone = f"{parent}/{_GONE}{last}" if parent else f"{_GONE}{last}"
                given.add(gone)
                layer.addfile(tarfile.TarInfo(gone))
    return len(given)


def located(root: Path, path: str, links: int = 0) -> Path:
    """Where `path` is below `root`, with links followed as they are for whoever has `root` as the root."""
    here = root
    parts = [part for part in PurePosixPath("/" + path).parts[1:] if part != "."]
    for number, part in enumerate(parts):
        if part == "..":
            here = here.parent if here != root else root
            continue
        entry = here / part
        if not entry.is_symlink():
            here = entry
            continue
        if links >= _MOST_LINKS:
            raise BadInput(f"links in a layer lead in circles: {path}")
        goal = PurePosixPath(entry.readlink())
        before = PurePosixPath("/") if goal.is_absolute() else PurePosixPath("/") / here.relative_to(root)
        return located(root, str(PurePosixPath(before, goal, *parts[number + 1 :])), links + 1)
    return here


def remove(path: Path) -> None:
    """Remove a file or folder, also one in which this user has made folders that nobody may write to; nothing where
    there is none."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    path.chmod(0o700)
    for where, folders, _ in os.walk(path):
        for folder in (Path(where, name) for name in folders):
            if not folder.is_symlink() and folder.stat().st_mode & stat.S_IRWXU != stat.S_IRWXU:
                folder.chmod(0o700)
    shutil.rmtree(path)


def walk(root: Path) -> Iterator[Path]:
    """All that is in a folder. OSError where this user may not look into one of those in it."""

    def refused(error: OSError) -> None:
        raise error

    for where, folders, files in os.walk(root, onerror=refused):
        yield from (Path(where, name) for name in (*folders, *files))


def _add(layer: tarfile.TarFile, root: Path, name: str, latest: int | None) -> None:
    path = root / name
    if path.name.startswith(_GONE):
        raise BadInput(f"/{name}: no layer holds a file of such a name, which stands for one that is gone there")
    entry = layer.gettarinfo(path, name)
    if entry is None or path.is_socket():
        return
    if latest is not None:
        entry.mtime = min(entry.mtime, latest)
    if os.getuid() != 0:  # in its namespace this user was root
        entry.uid = 0 if entry.uid == os.getuid() else entry.uid
        entry.gid = 0 if entry.gid == os.getgid() else entry.gid
    entry.uname = entry.gname = ""
    if entry.isfile() or entry.isdir():
        kept = [each for each in os.listxattr(path) if each.startswith(_XATTRS)]
        values = {f"SCHILY.xattr.{each}": os.getxattr(path, each).decode("utf-8", "surrogateescape") for each in kept}
        entry.pax_headers = {**entry.pax_headers, **values}
    if entry.isfile():
        if os.getuid() != 0 and not entry.mode & stat.S_IRUSR:
            path.chmod(entry.mode | stat.S_IRUSR)  # a copy, which goes once it is packed
        with path.open("rb") as file:
            layer.addfile(entry, file)
    else:
        layer.addfile(entry)


def _lay(root: Path, layer: tarfile.TarFile, member: tarfile.TarInfo, own: set[Path]) -> None:
    """Lay one entry; `own` are the places that the layer has put something at, or below."""
    name = PurePosixPath("/" + member.name).relative_to("/")
    if ".." in name.parts:
        raise BadInput(f"a layer holds {member.name}, which leads out of it")
    if not name.parts:
        return
    parent = located(root, str(name.parent))
    target = parent / name.name
    if name.name == _OPAQUE:
        for entry in list(parent.iterdir()) if parent.is_dir() else ():
            _hide(entry, own)
        return
    if name.name.startswith(_GONE):
        _hide(parent / name.name.removeprefix(_GONE), own)
        return
    parent.mkdir(parents=True, exist_ok=True)
    if not (member.isdir() and target.is_dir() and not target.is_symlink()):
        remove(target)
    _make(root, layer, member, target)
    while target not in own:
        own.add(target)
        target = target.parent


def _hide(path: Path, own: set[Path]) -> None:
    """Take away what lay there before this layer."""
    if path not in own:
        remove(path)
    elif path.is_dir() and not path.is_symlink():
        for entry in list(path.iterdir()):
            _hide(entry, own)


def _make(root: Path, layer: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    if member.isdir():
        target.mkdir(exist_ok=True)
    elif member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        source = located(root, str(PurePosixPath(member.linkname).parent)) / PurePosixPath(member.linkname).name
        os.link(source, target, follow_symlinks=False)
        return
    elif member.isfile():
        source_file = layer.extractfile(member)
        with target.open("wb") as file:
            if source_file is not None:
                shutil.copyfileobj(source_file, file)
    elif member.isfifo():
        os.mkfifo(target)
    elif member.ischr() or member.isblk():
        if os.getuid() == 0:
            kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            os.mknod(target, member.mode | kind, os.makedev(member.devmajor, member.devminor))
        return
    else:
        return
    if os.getuid() == 0:
        os.chown(target, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        # Modes do not bind root, who the text is; this user, who copies and removes what it has made, they do.
        more = 0 if os.getuid() == 0 else 0o700 if member.isdir() else 0o400
        target.chmod(member.mode & 0o7777 | more)
        for each, value in member.pax_headers.items():
            _, marked, attribute = each.partition("SCHILY.xattr.")
            if marked and attribute.startswith(_XATTRS) and (os.getuid() == 0 or attribute.startswith("user.")):
                os.setxattr(target, attribute, value.encode("utf-8", "surrogateescape"))
        os.utime(target, (member.mtime, member.mtime))
