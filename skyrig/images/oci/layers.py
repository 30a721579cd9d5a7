"""Layers of container images: laid over a folder, and made out of what has changed in one."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
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
    wherever links in it lead. BadInput for what is no such archive."""
    try:
        with tarfile.open(archive) as layer:
            for member in layer:
                _lay(root, layer, member)
    except tarfile.TarError as error:
        raise BadInput(f"{archive} is no layer that can be read: {error}") from error


def seen(root: Path) -> dict[str, tuple[int, ...]]:
    """All that is in a folder. Times of folders do not count: they change with what is in them."""
    found = {}
    for path in _walk(root):
        said = path.lstat()
        times = () if stat.S_ISDIR(said.st_mode) else (said.st_size, said.st_mtime_ns, said.st_ctime_ns, said.st_ino)
        found[str(path.relative_to(root))] = (said.st_mode, said.st_uid, said.st_gid, *times)
    return found


def packed(root: Path, before: Seen, archive: Path, left_out: tuple[str, ...] = ()) -> int:
    """Write what differs in `root` from `before`, and what of that is gone, as a plain archive; how many entries it
    has. Paths in `left_out`, and all below them, are no part of it."""
    now = seen(root)
    count = 0
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as layer:
        for name in sorted({*now, *before}):
            if any(name == each or name.startswith(f"{each}/") for each in left_out):
                continue
            if name in now and before.get(name) != now[name]:
                _add(layer, root, name)
                count += 1
            elif name not in now and str(PurePosixPath(name).parent) in {*now, "."}:
                parent, _, last = name.rpartition("/")
                gone = tarfile.TarInfo(f"{parent}/{_GONE}{last}" if parent else f"{_GONE}{last}")
                layer.addfile(gone)
                count += 1
    return count


def _walk(root: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(root):
        yield from (Path(where, name) for name in (*folders, *files))


def _add(layer: tarfile.TarFile, root: Path, name: str) -> None:
    path = root / name
    entry = layer.gettarinfo(path, name)
    if entry is None or path.is_socket():
        return
    if os.getuid() != 0:  # in its namespace this user was root
        entry.uid = 0 if entry.uid == os.getuid() else entry.uid
        entry.gid = 0 if entry.gid == os.getgid() else entry.gid
    entry.uname = entry.gname = ""
    if entry.isfile() or entry.isdir():
        kept = [each for each in os.listxattr(path) if each.startswith(_XATTRS)]
        values = {f"SCHILY.xattr.{each}": os.getxattr(path, each).decode("utf-8", "surrogateescape") for each in kept}
        entry.pax_headers = {**entry.pax_headers, **values}
    if entry.isfile():
        with path.open("rb") as file:
            layer.addfile(entry, file)
    else:
        layer.addfile(entry)


def _lay(root: Path, layer: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    name = PurePosixPath("/" + member.name).relative_to("/")
    if ".." in name.parts:
        raise BadInput(f"a layer holds {member.name}, which leads out of it")
    if not name.parts:
        return
    parent = _inside(root, str(name.parent))
    target = parent / name.name
    if name.name == _OPAQUE:
        for entry in list(parent.iterdir()) if parent.is_dir() else ():
            _remove(entry)
        return
    if name.name.startswith(_GONE):
        _remove(parent / name.name.removeprefix(_GONE))
        return
    parent.mkdir(parents=True, exist_ok=True)
    if not (member.isdir() and target.is_dir() and not target.is_symlink()):
        _remove(target)
    _make(root, layer, member, target)


def _make(root: Path, layer: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    if member.isdir():
        target.mkdir(exist_ok=True)
    elif member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        source = _inside(root, str(PurePosixPath(member.linkname).parent)) / PurePosixPath(member.linkname).name
        os.link(source, target, follow_symlinks=False)
        return
    elif member.isfile():
        source_file = layer.extractfile(member)
        with target.open("wb") as file:
            if source_file is not None:
                shutil.copyfileobj(source_file, file)
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
        target.chmod(member.mode & 0o7777)
        for each, value in member.pax_headers.items():
            _, marked, attribute = each.partition("SCHILY.xattr.")
            if marked and attribute.startswith(_XATTRS) and (os.getuid() == 0 or attribute.startswith("user.")):
                os.setxattr(target, attribute, value.encode("utf-8", "surrogateescape"))
        os.utime(target, (member.mtime, member.mtime))


def _inside(root: Path, path: str, links: int = 0) -> Path:
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
        return _inside(root, str(PurePosixPath(before, goal, *parts[number + 1 :])), links + 1)
    return here


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
