"""Somebody who rents machines of a mock: our verbs and the real engine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from user import BIN, User

LONG_S = 240.0


class RentedUser(User):
    """A user of a mock, whose `infra` are the words of `up` that say where and what."""

    def __init__(self, folder: Path, stack: str, env: Mapping[str, str], infra: Sequence[str]) -> None:
        super().__init__(folder, stack)
        self.infra = list(infra)
        self.env |= env | {"SKYRIG_SSH_FROM": "203.0.113.7/32"}

    def up(self, nodes: int = 1, *more: str) -> list[str]:
        """An up of so many nodes that was agreed to."""
        return ["up", "-c", self.stack, *self.infra, "--nodes", str(nodes), "-y", *more]

    def statuses(self) -> dict[str, str]:
        """Status of each node, as `status` tells it."""
        found = self.json("status", "-c", self.stack)["clusters"]
        return {node["name"]: node["status"] for cluster in found for node in cluster["nodes"]}

    def pulumi(self, *words: str) -> str:
        """What a plain engine command in the clone says."""
        command = [str(BIN / "pulumi"), *words, "-s", self.stack, "--non-interactive"]
        done = subprocess.run(
            command, cwd=self.clone, env=self.env, capture_output=True, timeout=LONG_S, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def nodes(self) -> dict[str, dict[str, Any]]:
        """The nodes as the stack describes them."""
        described = json.loads(self.pulumi("stack", "output", "--json").partition("\n\n")[0])["cluster"]
        return {node["id"]: node for node in described["nodes"]}
