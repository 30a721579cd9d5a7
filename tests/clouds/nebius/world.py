"""Nebius on loopback as a world of tests/conformance: the real engine and SDK, a stand-in in the provider's place."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from nebius_cloud import REGION, TOKEN, NebiusCloud, Thing
from user import BIN
from worlds import Machine

from skyrig.clouds.nebius.names import cluster_name

KIND = "gpu-h100-sxm_1gpu-16vcpu-200gb"
PLUGIN = "pulumi-resource-terraform-provider"
PROVIDER = Path(__file__).with_name("stand_in_provider.py")


def plugins(folder: Path) -> Path:
    """A folder for PATH with the stand-in as the engine's plugin."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / PLUGIN
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROVIDER}" "$@"\n')
    file.chmod(0o755)
    return folder


def environment(cloud: NebiusCloud, folder: Path) -> dict[str, str]:
    """The variables of a user of that cloud, who has no other credentials."""
    return cloud.env | {
        "HOME": str(folder),
        "SKYRIG_SSH_FROM": "203.0.113.7/32",
        "PATH": f"{BIN}:{plugins(folder / 'plugins')}:{os.environ['PATH']}",
    }


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
