"""Somebody with a project on a Google Cloud that is on loopback: our verbs, the real engine and SDK, and an echo that
agrees with that cloud in the provider's place."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from google_cloud import PROJECT, GoogleCloud
from servers import plugins
from user import BIN, User

from skyrig.clouds.gcp.names import cluster_name, machine_name

ZONE = "us-central1-a"
START_S = 240.0


class GcpUser(User):
    """A user whose Google Cloud is `google`."""

    def __init__(self, folder: Path, stack: str, google: GoogleCloud) -> None:
        super().__init__(folder, stack)
        self.google = google
        google.put(f"zones/{ZONE}/machineTypes/g2-standard-4")
        self.env |= google.env | {
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "ECHO_PROJECT": PROJECT,
            "ECHO_LOG": str(folder / "echo.jsonl"),
            "SKYRIG_SSH_FROM": "203.0.113.7/32",
            "PATH": f"{BIN}:{plugins(folder / 'plugins')}:{os.environ['PATH']}",
        }

    def up(self, nodes: int, *more: str) -> list[str]:
        """An up of so many small GPU nodes that was agreed to, in the one zone of a region that has them."""
        return ["up", "--infra", "gcp/us-central1", "-t", "g2-standard-4", "--nodes", str(nodes), "-y", *more]

    def name(self, node: str, version: int = 1) -> str:
        """Name of the machine behind a node."""
        return machine_name(cluster_name(self.stack), node, version)

    def end(self, node: str) -> None:
        """Somebody deletes the machine behind a node."""
        self.google.end(f"compute/projects/{PROJECT}/zones/{ZONE}/instances/{self.name(node)}")

    def statuses(self) -> dict[str, str]:
        """Status of each node, as `status` tells it."""
        [cluster] = self.json("status", "-c", self.stack)["clusters"]
        return {node["name"]: node["status"] for node in cluster["nodes"]}

    def pulumi(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """A plain engine command in the clone."""
        command = [str(BIN / "pulumi"), *words, "-s", self.stack, "--non-interactive"]
        return subprocess.run(command, cwd=self.clone, env=self.env, capture_output=True, timeout=300, check=False)
