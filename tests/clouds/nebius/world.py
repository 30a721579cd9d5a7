"""Nebius on loopback as a world of tests/conformance: the real engine and SDK, a stand-in in the provider's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from nebius_account import KIND, environment
from nebius_cloud import REGION, TOKEN, NebiusCloud, Thing
from worlds import Machine

from skyrig.clouds.nebius.names import cluster_name


class World:
    """A project in which there is nothing at first; machines of it do not answer."""

    lands = False  # three minutes of engine runs
    answers = False
    moves = False  # the head's address is static
    accelerators = "H100:1"
    infra = ("--infra", f"nebius/{REGION}", "-t", KIND)
    because: Mapping[str, str] = {"end": "a node has no right to delete itself: it stops, and `down` deletes it"}
    env: Mapping[str, str] = {}
    other: Mapping[str, str] = {"NEBIUS_PROJECT_ID": "project-e00other"}
    secrets = (TOKEN,)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cloud = NebiusCloud()

    def __enter__(self) -> Self:
        self.cloud.__enter__()
        self.env = environment(self.cloud, self.folder)
        return self

    def __exit__(self, *error: Any) -> None:
        self.cloud.__exit__(*error)

    def machines(self, stack: str) -> Mapping[str, Machine]:
        found = {}
        for each in self.cloud.of("Instance", stack):
            power = "up" if each.status == "RUNNING" else "stopped"
            found[each.labels["skyrig-node"]] = Machine(power, each.public or each.private, tags=each.labels)
        return found

    def lose(self, stack: str, node: str) -> None:
        self.cloud.end(self._machine(stack, node).id)

    def end(self, stack: str, node: str) -> None:
        raise AssertionError("nodes of Nebius do not end themselves")

    def left(self, stack: str) -> Sequence[str]:
        begins = f"{cluster_name(stack)}-"
        return [each.inputs["name"] for each in self.cloud.things.values() if each.inputs["name"].startswith(begins)]

    def _machine(self, stack: str, node: str) -> Thing:
        [found] = [each for each in self.cloud.of("Instance", stack) if each.labels["skyrig-node"] == node]
        return found
