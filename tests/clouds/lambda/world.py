"""Lambda as a world of tests/conformance: its API on loopback, and machines that are real SSH servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from lambda_mock import KEY, KIND, OTHER, LambdaMock
from worlds import Machine

from skyrig.catalog import facts
from skyrig.clouds.machines_api.names import stem


class World:
    """One account, and another one beside it."""

    lands = False
    answers = True
    moves = False
    accelerators = "A10:1"
    infra = ("--infra", "lambda/us-east-1", "-t", KIND)
    because: Mapping[str, str] = {
        "stop": facts.of("lambda", "power")["refused"]["on-demand"],
        "end": facts.of("lambda", "power")["cannot_end"]["on-demand"],
    }
    secrets: Sequence[str] = (KEY, OTHER)

    def __init__(self, folder: Path) -> None:
        self.lab = LambdaMock(folder / "homes")
        self.env: Mapping[str, str] = {**self.lab.env, "LAMBDA_API_KEY": KEY, "SKYRIG_SSH_FROM": "203.0.113.7/32"}
        self.other: Mapping[str, str] = {"LAMBDA_API_KEY": OTHER}

    def __enter__(self) -> Self:
        self.lab.open_to(OTHER, "lrn:account:another")
        self.lab.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.__exit__()
        assert self.lab.wrong == []

    def machines(self, stack: str) -> Mapping[str, Machine]:
        there = self.lab.there(stack)
        return {node: Machine("up", each.get("ip", ""), 22, each["named"]) for node, each in there.items()}

    def lose(self, stack: str, node: str) -> None:
        self.lab.lose(stack, node)

    def end(self, stack: str, node: str) -> None:
        raise AssertionError("nodes of Lambda cannot end themselves")

    def left(self, stack: str) -> Sequence[str]:
        keys = [each["name"] for each in self.lab.ssh_keys.values() if each["name"].startswith(stem(stack))]
        return [*self.lab.there(stack), *keys]
