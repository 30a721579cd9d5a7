"""What a job runs on every node: the text of a task file, or one training script of the workdir."""

from __future__ import annotations

from attrs import frozen


@frozen
class UserText:
    """The `run` text of a task file. It runs once a node, in bash, as SkyPilot would run it; its bytes are kept
    (surrogate escapes stand for bytes that are no UTF-8)."""

    text: str


@frozen
class Script:
    """A Python training script, started by a strategy on every node. `path` is relative to the workdir (or absolute
    on the nodes); `args` reach the script byte for byte."""

    path: str
    args: tuple[str, ...] = ()


Program = UserText | Script
"""Either of the two."""
