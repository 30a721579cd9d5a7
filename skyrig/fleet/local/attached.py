"""File systems that a node of level `plain` has mounted on the host, as buckets are: they outlive its processes, and
who removes the node's folder must not walk into one, for what lies there is not the node's."""

from __future__ import annotations

import contextlib
from pathlib import Path

from skyrig.fleet.local import kernel
from skyrig.fleet.local.layout import LocalNodeError


def release(folder: Path) -> None:
    """Take away all that is mounted below `folder`, at once, also what does not answer any more. LocalNodeError where
    something stays."""
    for _ in range(3):
        for place in reversed(_below(folder)):  # a later one may lie in, or over, an earlier one
            with contextlib.suppress(OSError):
                kernel.detach(place)
    if left := _below(folder):
        raise LocalNodeError(f"{left[0]} is still mounted", hint=f"`umount -l {left[0]}`, then try again")


def _below(folder: Path) -> list[Path]:
    """Where file systems are mounted below `folder`, in the order in which they were."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return []  # no Linux: buckets are attached by links there
    top = folder.resolve()
    places = [Path(line.split()[4].decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape"))
              for line in lines]  # fmt: skip
    return [place for place in places if place != top and place.is_relative_to(top)]
