"""Where the controller and its wards keep things, below SKYRIG_HOME."""

from __future__ import annotations

import shutil
from pathlib import Path

from skyrig import places
from skyrig.standing import Standing

MODULE = "skyrig.control"

LOCK = "controller.lock"
"""The file that the controller holds for its life."""


def root() -> Path:
    """The controller's folder."""
    return places.home() / "control"


def database() -> Path:
    """The file of its table."""
    return root() / "control.db"


def key() -> Path:
    """The file with the key that secrets of wards are sealed with (mode 0600); it outlives the controller's folder."""
    return places.home() / "key"


def old_key() -> Path:
    """Where that key lies in a home in which an earlier Skyrig made it."""
    return root() / "key"


def standing() -> Standing:
    """The controller as a process that stands by itself. Makes its folder."""
    return Standing(places.made(root()), "controller", MODULE)


def of_ward(kind: str, name: str) -> Path:
    """Folder of one ward: its packages, its log, its locks."""
    return root() / f"{kind}s" / name


def log(kind: str, name: str) -> Path:
    """What the controller did for a ward, as lines for people."""
    return of_ward(kind, name) / "controller.log"


def held(kind: str, name: str) -> Path:
    """The lock of who is at work on a ward, be it a command or a child of the controller's: one at a time."""
    return of_ward(kind, name) / "held"


def slots() -> list[Path]:
    """The locks of which each run of the engine that the controller has started holds one, for its life."""
    return [root() / f"slot.{number}" for number in range(2)]


def version(kind: str, name: str, number: int) -> Path:
    """Folder of one package."""
    return of_ward(kind, name) / f"v{number}"


def surroundings(kind: str, name: str) -> Path:
    """The sealed file with what commands about a ward find around them."""
    return of_ward(kind, name) / "surroundings"


def drop(kind: str, name: str) -> None:
    """Remove all that is kept of a ward beside its row."""
    shutil.rmtree(of_ward(kind, name), ignore_errors=True)


def clear(kind: str, name: str) -> None:
    """Remove all that is kept of a ward beside its row and its log."""
    for each in list(of_ward(kind, name).glob("*")):
        if each.name.startswith(log(kind, name).name):
            continue
        shutil.rmtree(each, ignore_errors=True) if each.is_dir() else each.unlink(missing_ok=True)
