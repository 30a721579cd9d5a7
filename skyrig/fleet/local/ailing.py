"""A local node that is not quite well, on purpose: some of its declared accelerators are hidden, or its clock is off.

Both are files in the node's home, where the programs that ask for such things look: its nvidia-smi
(skyrig.fleet.local.declared) and the probe of a node (skyrig.preflight.probe). They are gone with the node.
"""

from __future__ import annotations

from pathlib import Path

from skyrig.fleet.local.layout import LocalNodeError, NodeFolder


def hide(path: Path, devices: int) -> None:
    """Hide the last so many declared accelerators of the node in `path`; 0 shows all of them. LocalNodeError where it
    does not declare so many."""
    folder = NodeFolder(path)
    accelerators = (folder.read_state() or {}).get("request", {}).get("accelerators", {})
    declared = int(accelerators.get("count", 0)) if accelerators.get("declared") else 0
    if devices > declared:
        raise LocalNodeError(f"node {path.name} declares {declared or 'no'} accelerators, {devices} cannot be hidden")
    _say(folder.hidden, str(devices) if devices else "")


def set_clock(path: Path, off_s: float) -> None:
    """Have the clock of the node in `path` be off by so many seconds; 0: as it was."""
    _say(NodeFolder(path).clock, repr(off_s) if off_s else "")


def hidden(path: Path) -> int:
    """How many accelerators of the node in `path` are hidden."""
    return int(_said(NodeFolder(path).hidden))


def clock(path: Path) -> float:
    """By how many seconds the clock of the node in `path` is off."""
    return _said(NodeFolder(path).clock)


def _say(file: Path, text: str) -> None:
    if not text:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(f"{text}\n")
    fresh.replace(file)


def _said(file: Path) -> float:
    try:
        return float(file.read_text())
    except (OSError, ValueError):  # in the node's home, where anybody may write
        return 0.0
