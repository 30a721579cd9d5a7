"""Oracle Cloud on loopback as a world of tests/conformance: the real engine and SDK, an echo as the provider."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from oracle_cloud import REGION, OracleCloud
from servers import plugins
from user import BIN
from worlds import Machine


class World:
    """A compartment in which there is nothing at first; machines of it do not answer."""

    lands = False
    answers = False
    moves = False  # addresses are kept
    accelerators = "A10:1"
    infra = ("--infra", f"oci/{REGION}", "-t", "VM.GPU.A10.1")
    because: Mapping[str, str] = {}
    env: Mapping[str, str] = {}
    other: Mapping[str, str] = {"OCI_COMPARTMENT_OCID": "ocid1.compartment.oc1..another"}
    secrets: Sequence[str] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.oracle = OracleCloud()

    def __enter__(self) -> Self:
        path = f"{BIN}:{plugins(self.folder / 'plugins')}:{os.environ['PATH']}"
        self.oracle.__enter__()
        self.env = self.oracle.env(self.folder) | {
            "ECHO_LOG": str(self.folder / "echo.jsonl"),
            "SKYRIG_SSH_FROM": "203.0.113.7/32",
            "PATH": path,
        }
        self.secrets = Path(self.env["OCI_PRIVATE_KEY_PATH"]).read_text().splitlines()[1:-1]
        return self

    def __exit__(self, *error: Any) -> None:
        assert self.oracle.unsigned == []
        self.oracle.__exit__(*error)

    def machines(self, stack: str) -> Mapping[str, Machine]:
        found = {}
        for node, path in self.oracle.instances(stack).items():
            said, nic = self.oracle.things[path], self.oracle.things[f"/vnics/{path.rpartition('/')[2]}"]
            power = "up" if said["lifecycleState"] == "RUNNING" else "stopped"
            found[node] = Machine(power, nic["publicIp"] or nic["privateIp"], tags=said["freeformTags"])
        return found

    def lose(self, stack: str, node: str) -> None:
        self.oracle.end(self.oracle.instances(stack)[node])

    def end(self, stack: str, node: str) -> None:
        self.oracle.end(self.oracle.instances(stack)[node])  # test_oci_end.py: the node's own program asks for this

    def left(self, stack: str) -> Sequence[str]:
        return self.oracle.left()
