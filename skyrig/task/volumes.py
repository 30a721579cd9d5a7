"""The field `volumes`: volumes of a cluster manager (Kubernetes, Slurm, RunPod) at mount points."""

from __future__ import annotations

from typing import Any

from skyrig.task.node import Node

_SUB_PATH = r"[a-zA-Z0-9._-][a-zA-Z0-9./_-]*"
_NAMES = ("name", "size", "host_path")


def read(node: Node) -> dict[str, Any]:
    """Volumes by mount point, as they were given: a name, or a mapping with one of name, size and host_path."""
    found = {}
    for target, each in node.fields().items():
        if not target.startswith(("/", "~")):
            each.note("a place on the nodes begins with / or ~")
        each.read(_volume, None)
        found[target] = each.plain()
    return found


def _volume(node: Node) -> None:
    if isinstance(node.data, str):
        node.filled_text()
        return
    fields = node.fields()
    if not any(name in fields for name in _NAMES):
        raise node.wrong(f"one of {', '.join(_NAMES)} is wanted")
    if "sub_path" in fields:
        fields["sub_path"].matching(_SUB_PATH, "a path inside the volume")
