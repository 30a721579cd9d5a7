"""Where files go on a node, and bringing them there.

Standard library only, Python 3.8 or newer; see skyrig.fleet.content for why.
"""

# Paths are plain text here; the standard library of 3.8 has no shorter way.
# ruff: noqa: PTH106, PTH108, PTH110, PTH111, PTH112, PTH118, PTH120, PTH123

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import NamedTuple

from skyrig.fleet.content import BlobStore, Manifest, Refused
from skyrig.fleet.receiver import Changes, materialise


class Place(NamedTuple):
    """`target` is a folder on a node that takes a manifest's files, or with `is_file` the one file that it holds ("~/"
    is the node's home). `state` is where is remembered what was brought. `spare` are paths below `folder` that
    something else brings there: they are left alone."""

    target: str = "~/sky_workdir"
    state: str = "~/.skyrig/workdir.json"
    is_file: bool = False
    spare: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """What the manifest's paths are relative to."""
        return os.path.dirname(self.target) if self.is_file else self.target

    @property
    def state_file(self) -> str:
        """The state file: a target that becomes a file where it was a folder gets another one."""
        return self.state + ".file" if self.is_file else self.state


WORKDIR = Place()

_HOST_FOLDERS = "/run/skyrig-host-folders"
"""On a local node names the folders that are this machine's own (skyrig.fleet.local.mounts)."""


def bring(
    store: BlobStore,
    manifest: Manifest,
    place: Place,
    *,
    consume: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> Changes:
    """`materialise` at a place. What was brought to the same target while it was of the other kind goes first. Refused,
    in words that name the target, where the disk says no."""
    folder, state = os.path.expanduser(place.folder), os.path.expanduser(place.state_file)
    _refuse_host_folders(place.target, folder)
    try:
        _leave(store, place._replace(is_file=not place.is_file), tick)
        return materialise(store, manifest, folder, state, consume=consume, spare=place.spare, tick=tick)
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename is not None else place.target
        aside = "" if where in (place.target, os.path.expanduser(place.target)) else f" ({where})"
        raise Refused(f"{place.target} cannot be written: {(error.strerror or str(error)).lower()}{aside}") from error


def _refuse_host_folders(target: str, folder: str) -> None:
    """Nothing that a node is sent may change the machine that it is played on."""
    try:
        with open(_HOST_FOLDERS, encoding="utf-8", errors="surrogateescape") as file:
            named = file.read().splitlines()
    except OSError:  # a machine of its own
        return
    real = os.path.realpath(folder)
    home = os.path.realpath(os.path.expanduser("~"))
    for host in named:
        if _within(real, host) and not _within(real, home):
            raise Refused(f"{target} lies in {host}, which local nodes share with this machine")


def _within(path: str, folder: str) -> bool:
    return os.path.join(path, "").startswith(os.path.join(folder, ""))


def _leave(store: BlobStore, place: Place, tick: Callable[[], None]) -> None:
    """Take away what was brought to a place, but for what somebody has changed since."""
    folder, state = os.path.expanduser(place.folder), os.path.expanduser(place.state_file)
    if not (os.path.exists(state) or os.path.exists(state + ".stamp")):
        return
    if os.path.isdir(folder):
        materialise(store, Manifest(()), folder, state, tick=tick)
        if not place.is_file:
            with contextlib.suppress(OSError):  # others' files lie in it
                os.rmdir(folder)
    for suffix in ("", ".stamp", ".lock"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(state + suffix)
