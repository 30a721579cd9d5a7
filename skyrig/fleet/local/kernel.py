"""The Linux calls behind namespaces, which Python 3.11 does not offer, by way of the C library."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` name for new ones. OSError where the kernel refuses."""
    _checked(_libc.unshare(flags), "unshare")


def join(descriptor: int, kind: int) -> None:
    """Enter the namespace of `kind` that the open `descriptor` stands for."""
    _checked(_libc.setns(descriptor, kind), "setns")


def mount(source: str | Path, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2): a file system of `kind`, or with MS_BIND another view of `source`, at `target`."""
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags))
    _checked(_libc.mount(*arguments, os.fsencode(options) or None), f"mount {target}")


def detach(target: Path) -> None:
    """Take the mount at `target` away; who uses it keeps it."""
    _checked(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"unmount {target}")


def pivot_root(new: Path, old: Path) -> None:
    """Make `new` the root; the former one is then at `old`, a folder in `new`."""
    _checked(_libc.pivot_root(os.fsencode(new), os.fsencode(old)), "pivot_root")


def become_owner_of_namespaces() -> None:
    """Enter a new user namespace in which this user is the same user, with all rights over what is made there."""
    user, group = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
