"""Fluidstack as a world of tests/conformance: its APIs on loopback, and machines that are real SSH servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from fluidstack_mock import KEY, KIND, OTHER, OTHERS, REGION, FluidstackMock, own_prices
from worlds import Machine

from skyrig.catalog import facts


class World:
    """One project, and another one beside it."""

    lands = False
    answers = True
    moves = True
    accelerators = "H100:1"
    infra = ("--infra", f"fluidstack/{REGION}", "-t", KIND)
    because: Mapping[str, str] = {"end": facts.of("fluidstack", "power")["cannot_end"]["on-demand"]}
    secrets: Sequence[str] = (KEY, OTHER)

    def __init__(self, folder: Path) -> None:
        self.lab = FluidstackMock(folder / "homes")
        prices = folder / "prices.yaml"
        prices.write_text(own_prices())
        more = {"SKYRIG_SSH_FROM": "203.0.113.7/32", "SKYRIG_PRICES": str(prices)}
        self.env: Mapping[str, str] = {**self.lab.env, **more}
        self.other: Mapping[str, str] = {"FLUIDSTACK_PROJECT_ID": OTHERS}

    def __enter__(self) -> Self:
        self.lab.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.__exit__()
        assert self.lab.wrong == []

    def machines(self, stack: str) -> Mapping[str, Machine]:
        found = {}
        for node, each in self.lab.there(stack).items():
            power = "stopped" if each["state"] == "stopped" else "up"
            found[node] = Machine(power, each["ip"] or "", 22, each["tags"])
        return found

    def lose(self, stack: str, node: str) -> None:
        self.lab.end(self.lab.there(stack)[node]["id"])

    def end(self, stack: str, node: str) -> None:
        raise AssertionError("nodes of Fluidstack cannot end themselves")

    def left(self, stack: str) -> Sequence[str]:
        return list(self.lab.there(stack))
