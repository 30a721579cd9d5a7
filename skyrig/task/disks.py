"""Disks that are attached beside a node's own: `resources.volumes`, and file mounts with `store: volume`."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from skyrig.task import quantities
from skyrig.task.node import Node

TIERS = ("low", "medium", "high", "ultra", "best")
STORAGE_TYPES = ("network", "instance")
ATTACH_MODES = ("read_only", "read_write")


@frozen
class Disk:
    """One disk: mounted at `path`, found or made by `name` (a network disk only), `disk_size` in GiB."""

    path: str
    name: str | None = None
    disk_size: int | None = None
    disk_tier: str | None = None
    storage_type: str = "network"
    attach_mode: str = "read_write"
    auto_delete: bool = False


FIELDS: dict[str, Any] = {
    "disk_size": quantities.size_gb,
    "disk_tier": lambda node: _word(node, TIERS, "best"),
    "storage_type": lambda node: _word(node, STORAGE_TYPES, "network"),
    "attach_mode": lambda node: _word(node, ATTACH_MODES, "read_write"),
}
"""What a disk may say of itself, wherever it is described."""


def attached(node: Node) -> tuple[Disk, ...]:
    """The list `resources.volumes`."""
    return tuple(disk for disk in (each.read(_disk, None) for each in node.items()) if disk is not None)


def checked(node: Node, disk: Disk) -> Disk:
    """`disk` if it can be told from others: a network disk has a name, one of the instance needs none."""
    if disk.storage_type == "network" and not disk.name:
        raise node.wrong("a network disk needs a `name`")
    if disk.storage_type == "instance":
        return evolve(disk, name=None)
    return evolve(disk, disk_tier=disk.disk_tier or "best")


def _disk(node: Node) -> Disk:
    given = node.read_fields(
        {"path": Node.filled_text, "name": Node.text, "auto_delete": Node.switch, **FIELDS}, open_ended=True
    )
    if "path" not in node.fields():
        raise node.wrong("`path` is missing")
    known = {name: given[name] for name in ("path", "name", "auto_delete", *FIELDS) if name in given}
    return checked(node, Disk(**{"path": "", **known}))


def _word(node: Node, allowed: tuple[str, ...], otherwise: str) -> str:
    """One of `allowed`; what is not there is taken as `otherwise`, as SkyPilot does, and that is said."""
    text = node.text().lower()
    if text in allowed:
        return text
    node.problems.warn(node.where, node.path, f"{node.shown} is none of {', '.join(allowed)}; taken as {otherwise}")
    return otherwise
