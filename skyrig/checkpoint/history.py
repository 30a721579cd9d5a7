"""The saves in a store, newest first, and which of them go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from skyrig.checkpoint import manifest
from skyrig.checkpoint.incarnation import Incarnation
from skyrig.checkpoint.store import Store

_FOLDER = re.compile(r"step-(\d{12,})\.(\d{6,}-[0-9a-f]{8})\.(\d{4,})")


@dataclass(frozen=True, order=True)
class Save:
    """One save, begun or done. A later life's are newer whatever their step; `serial` counts those of one life."""

    incarnation: Incarnation
    step: int
    serial: int

    @property
    def folder(self) -> str:
        """What the names of its contents begin with."""
        return f"step-{self.step:012d}.{self.incarnation}.{self.serial:04d}/"

    @property
    def manifest(self) -> str:
        """Name of the document that makes it complete."""
        return self.folder + manifest.NAME

    @staticmethod
    def parse(name: str) -> Save | None:
        """The save that a content of this name belongs to."""
        found = _FOLDER.fullmatch(name.partition("/")[0])
        life = Incarnation.parse(found[2]) if found else None
        return Save(life, int(found[1]), int(found[3])) if found and life else None


class History:
    """All saves of a store, as one listing showed them."""

    def __init__(self, store: Store) -> None:
        self.sizes: Mapping[str, int] = store.sizes("step-")
        self._store = store

    @property
    def saves(self) -> list[Save]:
        """Newest first."""
        return sorted({save for save in map(Save.parse, self.sizes) if save}, reverse=True)

    @property
    def published(self) -> list[Save]:
        """Those that have a manifest, newest first."""
        return [save for save in self.saves if save.manifest in self.sizes]

    def remove(self, saves: Iterable[Save]) -> None:
        """Take saves away, the manifests first, so that none that is half there looks complete."""
        gone = set(saves)
        names = [name for name in self.sizes if Save.parse(name) in gone]
        self._store.delete(save.manifest for save in gone if save.manifest in self.sizes)
        self._store.delete(name for name in names if not name.endswith("/" + manifest.NAME))


def superfluous(history: History, *, mine: Incarnation, current: Save, keep: int, keep_every: int | None) -> list[Save]:
    """What can go after `current` was published: complete ones but the newest `keep` and those whose step is a multiple
    of `keep_every`, and the rests of saves of this life and older ones that were never published."""
    published = history.published
    kept = set(published[:keep]) | {current}
    kept |= {save for save in published if keep_every and save.step % keep_every == 0}
    rests = {save for save in history.saves if save not in published and save.incarnation <= mine}
    return sorted(({*published} | rests) - kept)
