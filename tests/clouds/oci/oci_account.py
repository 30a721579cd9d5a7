"""Somebody with a compartment on an Oracle Cloud that is on loopback: our verbs, the real engine and SDK, and an echo
that agrees with that cloud in the provider's place."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from oracle_cloud import REGION, OracleCloud
from servers import plugins
from user import BIN, User

START_S = 240.0


class OciUser(User):
    """A user whose Oracle Cloud is `oracle`."""

    def __init__(self, folder: Path, stack: str, oracle: OracleCloud) -> None:
        super().__init__(folder, stack)
        self.oracle = oracle
        self.env |= oracle.env(folder) | {
            "ECHO_LOG": str(folder / "echo.jsonl"),
            "SKYRIG_SSH_FROM": "203.0.113.7/32",
            "PATH": f"{BIN}:{plugins(folder / 'plugins')}:{os.environ['PATH']}",
        }

    def up(self, nodes: int, kind: str = "VM.GPU.A10.1") -> list[str]:
        """An up of so many small nodes that was agreed to."""
        return ["up", "--infra", f"oci/{REGION}", "-t", kind, "--nodes", str(nodes), "-y"]

    def statuses(self) -> dict[str, str]:
        """Status of each node, as `status` tells it."""
        [cluster] = self.json("status", "-c", self.stack)["clusters"]
        return {node["name"]: node["status"] for node in cluster["nodes"]}

    def pulumi(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """A plain engine command in the clone."""
        command = [str(BIN / "pulumi"), *words, "-s", self.stack, "--non-interactive"]
        return subprocess.run(command, cwd=self.clone, env=self.env, capture_output=True, timeout=300, check=False)
