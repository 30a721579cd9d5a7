"""What rclone calls to mount and unmount a FUSE file system, as root, on a node whose system has no fusermount3.

`fusermount3 -o OPTIONS -- FOLDER` hands the descriptor of /dev/fuse over the socket whose number is in _FUSE_COMMFD, as
libfuse's does; `fusermount3 -u FOLDER` takes the mount away, whoever still uses it.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys

MNT_DETACH = 2
FLAGS = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "sync": 16, "noatime": 1024}
HANDED_ON = ("allow_other", "default_permissions", "max_read")


def check(code: int, what: str, place: str) -> None:
    """End with the system's own reason where a call failed."""
    if code:
        sys.exit(f"fusermount3: {what} {place}: {os.strerror(ctypes.get_errno())}")


def mount(libc: ctypes.CDLL, place: str, options: list[str]) -> None:
    """Mount, and hand the descriptor over."""
    flags, kind, source, left = FLAGS["nosuid"] | FLAGS["nodev"], "fuse", "rclone", []
    for each in options:
        name, _, value = each.partition("=")
        flags |= FLAGS.get(name, 0)
        if name == "subtype":
            kind = f"fuse.{value}"
        elif name == "fsname":
            source = value
        elif name in HANDED_ON:
            left.append(each)
    device = os.open("/dev/fuse", os.O_RDWR)
    own = [f"fd={device}", "rootmode=40000", f"user_id={os.getuid()}", f"group_id={os.getgid()}"]
    data = os.fsencode(",".join(own + left))
    code = libc.mount(os.fsencode(source), os.fsencode(place), os.fsencode(kind), ctypes.c_ulong(flags), data)
    check(code, "mount", place)
    with socket.socket(fileno=int(os.environ["_FUSE_COMMFD"])) as peer:
        handed = device.to_bytes(4, sys.byteorder)
        peer.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])


def main(words: list[str]) -> None:
    """Do what the command line says."""
    libc, place = ctypes.CDLL(None, use_errno=True), words[-1]
    if "-u" in words:
        check(libc.umount2(os.fsencode(place), MNT_DETACH), "unmount", place)
    else:
        mount(libc, place, words[words.index("-o") + 1].split(",") if "-o" in words else [])


if __name__ == "__main__":
    main(sys.argv[1:])
