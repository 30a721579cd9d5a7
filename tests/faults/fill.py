"""A small disk inside a node, and the fault that it is full."""

from __future__ import annotations

import os
from pathlib import Path

from faults.fault import Fault
from faults.node import FaultyNode

_FILLER = ".filler"


class NoDiskOfItsOwn(ValueError):
    """Filling this folder would fill the host's disk."""


class SmallDisk(Fault):
    """A tmpfs of `size` bytes over the folder `folder` (an absolute path) of a node, in its mount namespace alone. What
    lay there is hidden meanwhile; files that are open stay what they were. Undone by a lazy unmount."""

    limit_s = 3600.0

    def __init__(self, node: FaultyNode, folder: Path, size: int) -> None:
        super().__init__()
        self.node = node
        self.folder = folder
        self.size = size

    def _do(self) -> None:
        self.node.run("mkdir", "-p", str(self.folder), spaces="m")
        options = f"size={self.size},mode=700"
        self.node.run("mount", "-n", "-t", "tmpfs", "-o", options, "none", str(self.folder), spaces="m")

    def _undo(self) -> None:
        self.node.run("umount", "-n", "-l", str(self.folder), spaces="mp", check=self.node.server is not None)


class Full(Fault):
    """A folder of a node that lies on a disk of its own, filled to the last byte. Undone by removing the filler."""

    def __init__(self, node: FaultyNode, folder: Path) -> None:
        super().__init__()
        self.node = node
        self.folder = folder

    @property
    def filler(self) -> Path:
        """The file that takes all room, as it is reached from here."""
        return self.node.seen_from_inside(self.folder / _FILLER)

    def _do(self) -> None:
        path = self.filler
        if path.parent.stat().st_dev == path.parent.parent.stat().st_dev:
            raise NoDiskOfItsOwn(f"{self.folder} of {self.node.id} is no disk of its own")
        with path.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                _write_all(file.fileno(), size)

    def _undo(self) -> None:
        if self.node.server is not None:
            self.filler.unlink(missing_ok=True)


def _write_all(descriptor: int, size: int) -> None:
    """Write blocks of `size` bytes until none fits."""
    block = bytes(size)
    try:
        while os.write(descriptor, block) == size:
            pass
    except OSError:
        return
