"""Whether files are still as they were brought, at the cost of one stat each: no manifest is sent, read or compared.

Standard library only, Python 3.8 or newer; see skyrig.fleet.content for why. Beside the state file of `materialise`
lies a **stamp**: the digest of the manifest, all its paths, and one hash over what the disk said of them (mode, size,
times and inode). A file that anybody has written to since, or a path that is gone, makes another hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
from collections.abc import Sequence

MARK = "skyrig-stamp "
"""Start of the line that says the answer; all else on the output comes from the node's shell start-up files."""


class Stamp:
    """The stamp that belongs to the state file `state`."""

    def __init__(self, state: str) -> None:
        self._path = state + ".stamp"

    @property
    def digest(self) -> str:
        """Digest of the manifest that the folder was stamped for; "" if it is not."""
        return self._read()[0]

    def write(self, digest: str, root: bytes, paths: Sequence[bytes]) -> None:
        """Stamp the folder `root`, which holds all of the manifest `digest`, as it is now. A stamp that cannot be
        written costs a later run time, nothing else."""
        names = b"\0".join(paths)
        data = "{} {}\n".format(digest, _fingerprint(root, names)).encode() + names
        with contextlib.suppress(OSError):
            with open(self._path + ".new", "wb") as file:
                file.write(data)
            os.replace(self._path + ".new", self._path)

    def remove(self) -> None:
        """Take the stamp away, before the folder is changed."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def holds(self, digest: str, target: str) -> bool:
        """Whether the folder `target` is as it was stamped for the manifest `digest`."""
        known, wanted, names = self._read()
        return bool(known == digest and wanted) and _fingerprint(os.path.realpath(os.fsencode(target)), names) == wanted

    def _read(self) -> tuple[str, str, bytes]:
        """Digest, hash and paths; empty where there is no stamp."""
        try:
            with open(self._path, "rb") as file:
                head, _, names = file.read().partition(b"\n")
        except OSError:
            return "", "", b""
        known, _, wanted = head.decode("ascii", "replace").partition(" ")
        return known, wanted, names


def _fingerprint(root: bytes, names: bytes) -> str:
    """The hash over all that lies at `names`; "" where something is missing. Of folders only kind and mode count, for
    others may put files into them; of links only where they point."""
    said: list[bytes] = []
    begin = root + b"/"
    try:
        os.stat(root)
        for name in names.split(b"\0") if names else ():
            found = os.lstat(begin + name)
            if stat.S_ISDIR(found.st_mode):
                said.append(b"%o" % found.st_mode)
            elif stat.S_ISLNK(found.st_mode):
                said.append(b"-> " + os.readlink(begin + name))
            else:
                times = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
                said.append(b"%o %d %d %d %d" % (found.st_mode, *times))
    except OSError:
        return ""
    return hashlib.sha256(b"\0".join(said)).hexdigest()


def main(_: bytes) -> int:
    """On a node: answer for each of [[digest, state file, folder], ...] on standard input, in their order."""
    asked = json.loads(sys.stdin.buffer.readline())
    held = [Stamp(os.path.expanduser(state)).holds(digest, os.path.expanduser(where)) for digest, state, where in asked]
    print(MARK + json.dumps(held), flush=True)
    return 0
