"""Google Cloud on loopback as a world of tests/conformance: the real engine and SDK, an echo as the provider."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from google_cloud import PROJECT, GoogleCloud
from servers import plugins
from user import BIN
from worlds import Machine

ZONE, KIND = "us-central1-a", "g2-standard-4"


class World:
    """A project in which there is nothing at first; machines of it do not answer."""

    lands = False
    answers = False
    moves = False  # the head's address is kept, workers' are private
    accelerators = "L4:1"
    infra = ("--infra", "gcp/us-central1", "-t", KIND)
    because: Mapping[str, str] = {}
    env: Mapping[str, str] = {}
    other: Mapping[str, str] = {"GOOGLE_CLOUD_PROJECT": "another-project"}
    secrets = ("a-token",)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.google = GoogleCloud()

    def __enter__(self) -> Self:
        path = f"{BIN}:{plugins(self.folder / 'plugins')}:{os.environ['PATH']}"
        self.google.__enter__()
        self.google.put(f"zones/{ZONE}/machineTypes/{KIND}")
        self.env = self.google.env | {
            "CLOUDSDK_CONFIG": str(self.folder / "gcloud"),
            "ECHO_PROJECT": PROJECT,
            "ECHO_LOG": str(self.folder / "echo.jsonl"),
            "SKYRIG_SSH_FROM": "203.0.113.7/32",
            "PATH": path,
        }
        return self

    def __exit__(self, *error: Any) -> None:
        self.google.__exit__(*error)

    def machines(self, stack: str) -> Mapping[str, Machine]:
        found = {}
        for path, said in self._instances(stack).items():
            power = "up" if self.google.machines[path.rpartition("/")[2]] == "RUNNING" else "stopped"
            [nic, *_] = said["networkInterfaces"]
            public = next((each["natIP"] for each in nic["accessConfigs"]), "")
            node = said["labels"]["skyrig-node"]
            found[node] = Machine(power, public or nic["networkIP"], tags=said["labels"])
        return found

    def lose(self, stack: str, node: str) -> None:
        self.google.end(self._path(stack, node))

    def end(self, stack: str, node: str) -> None:
        path = self._path(stack, node).partition(f"projects/{PROJECT}/")[2]
        status, said = self.google.answer("DELETE", f"/compute/projects/{PROJECT}/{path}", {}, None)
        assert status == 200, said  # tests/clouds/gcp/test_gcp_end.py: the program on the node asks for this

    def left(self, stack: str) -> Sequence[str]:
        return self.google.left()

    def _instances(self, stack: str) -> dict[str, dict[str, Any]]:
        there = {path: said for path, said in self.google.things.items() if "/instances/" in path}
        return {path: said for path, said in there.items() if said["labels"]["skyrig-stack"] == stack}

    def _path(self, stack: str, node: str) -> str:
        found = self._instances(stack)
        [path] = [path for path, said in found.items() if said["labels"]["skyrig-node"] == node]
        return path
