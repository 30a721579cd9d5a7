"""This machine as a world of tests/conformance: nodes are real ones, in namespaces where it has such."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from worlds import Machine

from skyrig.fleet.local.layout import NodeFolder


class World:
    """Clusters of CPU nodes on this machine; what is there is told by the nodes' own folders."""

    lands = False  # tests/local, tests/cli and tests/e2e land with the same steps
    answers = True
    moves = False  # the system gives a port; it may be the same
    accelerators = ""
    infra = ("--infra", "local")
    because: Mapping[str, str] = {
        "account": "nobody pays for this machine: there is no account to mistake",
        "tags": "a node's folder is below its stack's: nothing is to be found by tags",
    }
    env: Mapping[str, str] = {}
    other: Mapping[str, str] = {}
    secrets: Sequence[str] = ()

    def __init__(self, folder: Path) -> None:
        self.nodes = folder / "home" / "local"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass  # the suite ends what is left of local nodes

    def machines(self, stack: str) -> Mapping[str, Machine]:
        found = {}
        for path in sorted((self.nodes / stack).glob("n*")):
            power, said = NodeFolder(path).power(), NodeFolder(path).read_state()
            if power in ("up", "stopped") and said is not None:
                found[path.name] = Machine(power, *((said["host"], int(said["port"])) if power == "up" else ()))
        return found

    def lose(self, stack: str, node: str) -> None:
        said: dict[str, Any] = NodeFolder(self.nodes / stack / node).read_state() or {}
        os.kill(said["pid"], signal.SIGKILL)

    def end(self, stack: str, node: str) -> None:
        raise AssertionError("its nodes answer: the keeper ends them")

    def left(self, stack: str) -> Sequence[str]:
        return [str(path) for path in self.nodes.glob(f"{stack}/*")]
