"""Writing into a stack's config that its cluster switched itself off, so that plain `pulumi up` lets it be.

Nodes hold no rights over the stack, so this is done by the first client that sees it, once in each clone: who wants the
cluster up again after that, and says so in the config, is heeded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from skyrig import places
from skyrig.cluster.autostop import AutostopNote
from skyrig.errors import BadInput
from skyrig.stack import agreement, autostopped, config, described, lock, ssh_files

Notify = Callable[[str], None]
"""Takes one line for the reader."""


def adopt(stack: str, notify: Notify) -> AutostopNote | None:
    """Why the cluster of `stack` is off or down by itself, after its config says so; None where it is not. While
    another run is at work on the stack, and where the config makes no sense, nothing is written."""
    left = autostopped.left(stack)
    cluster = described.last(stack) if left is not None and left.acted_at else None  # it may cost an engine call
    said = autostopped.acted(cluster) if cluster is not None else None
    if said is None or cluster is None or not autostopped.is_off(cluster):
        return None
    if said.head + str(said.acted_at) == _seen(stack) or lock.is_held(stack):
        return said
    wanted = "down" if said.down else "stopped"
    try:
        agreement.settle(stack, notify)
        shape = config.read_shape(stack)
        if shape.power == "up":
            config.write_shape(stack, evolve(shape, power=wanted))
            notify(f"cluster {stack}: {said.told}; its config says power: {wanted} from now on")
    except BadInput as error:
        notify(f"{error.message}: power: {wanted} is not written there")
        return said
    places.made(_file(stack).parent)
    ssh_files.replace(_file(stack), said.head + str(said.acted_at))
    return said


def _seen(stack: str) -> str:
    try:
        return _file(stack).read_text()
    except FileNotFoundError:
        return ""


def _file(stack: str) -> Path:
    return agreement.seen_file(stack).with_suffix(".autostop")
