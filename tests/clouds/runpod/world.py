"""RunPod as a world of tests/conformance: its API on loopback, and pods that are real SSH servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from runpod_mock import KEY, KIND, OTHER, RunpodMock
from worlds import Machine

from skyrig.catalog import facts


class World:
    """One account, and another one beside it. A pod's programs lie at its root, and this machine's root is not the
    mock's to write to: what a pod does to end itself is done for it."""

    lands = False
    answers = False
    moves = True
    accelerators = "L40:1"
    infra = ("--infra", "runpod/US", "-t", KIND)
    because: Mapping[str, str] = {"nodes": facts.of("runpod", "place")["why_no_more"]}
    secrets: Sequence[str] = (KEY, OTHER)

    def __init__(self, folder: Path) -> None:
        self.lab = RunpodMock()
        self.env: Mapping[str, str] = {**self.lab.env, "RUNPOD_API_KEY": KEY, "SKYRIG_SSH_FROM": "203.0.113.7/32"}
        self.other: Mapping[str, str] = {"RUNPOD_API_KEY": OTHER}

    def __enter__(self) -> Self:
        self.lab.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.__exit__()
        assert self.lab.wrong == []

    def machines(self, stack: str) -> Mapping[str, Machine]:
        found = {}
        for node, each in self.lab.there(stack).items():
            direct = each["ssh"]["direct"] or {"host": "", "port": 22}
            power = "stopped" if each["status"] == "EXITED" else "up"
            found[node] = Machine(power, direct["host"], direct["port"], each["named"])
        return found

    def lose(self, stack: str, node: str) -> None:
        self.lab.end(self.lab.there(stack)[node]["id"])

    def end(self, stack: str, node: str) -> None:
        self.lose(stack, node)

    def left(self, stack: str) -> Sequence[str]:
        return list(self.lab.there(stack))
