"""Files that come along with a job: one archive in a Secret, for there is nobody on the nodes to take them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from skyrig.errors import BadInput
from skyrig.fleet.content import Entry
from skyrig.launch.files import Bundle
from skyrig.schedulers.kubernetes.manifests import LIMIT


def places(bundles: Sequence[Bundle]) -> list[tuple[str, bool]]:
    """(target, whether it is one file) of each, in the order in which they are in the archive."""
    return [(bundle.layer.target, bundle.layer.is_file) for bundle in bundles]


def packed(bundles: Sequence[Bundle]) -> bytes:
    """The archive, each bundle in a folder of its number; equal files make equal archives. b"" for no bundles. BadInput
    where it is larger than a Secret may be."""
    if not bundles:
        return b""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, bundle in enumerate(bundles):
            tar.addfile(_folder(str(number), 0o755))
            sources = {entry.sha256: entry for entry in bundle.local.entries if entry.kind == "file"}
            for entry in bundle.layer.manifest.entries:
                _add(tar, f"{number}/{entry.path}", entry, bundle.root, sources)
                _refuse(out.tell() // 20)  # nothing shrinks that far: no need to read on
    data = gzip.compress(out.getvalue(), mtime=0)
    _refuse(len(data))
    return data


def _refuse(size: int) -> None:
    if size > LIMIT:
        raise BadInput(
            "workdir and file_mounts are too large to come along with a job of Kubernetes: 900 kB packed are the most",
            hint="name what need not come in .skyignore; put the rest into a bucket that the task copies from, into "
            "its image, or onto a volume",
        )


def _add(tar: tarfile.TarFile, name: str, entry: Entry, root: Path, sources: dict[str, Entry]) -> None:
    if entry.kind == "dir":
        tar.addfile(_folder(name, entry.mode or 0o755))
        return
    info = tarfile.TarInfo(name)
    info.mode = entry.mode
    if entry.kind == "link":
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        tar.addfile(info)
        return
    source = root / sources[entry.sha256].path
    try:
        data = source.read_bytes()
    except OSError as error:
        raise BadInput(f"{source}: {(error.strerror or 'cannot be read').lower()}") from error
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _folder(name: str, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, mode
    return info
