"""Azure on loopback as a world of tests/conformance: the real engine and SDK, an echo in the provider's place that
keeps what it makes in a Resource Manager."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Self

from azure_stack import ACCOUNT, home, role
from manager import Manager, serve
from servers import plugins
from user import BIN
from worlds import Machine

REGION, KIND = "eastus", "Standard_NC4as_T4_v3"
ANOTHER = ACCOUNT.replace("1", "9")
_MACHINES = "/providers/microsoft.compute/virtualmachines/"


class World:
    """Two subscriptions in which there is nothing at first; machines of them do not answer."""

    lands = False
    answers = False
    moves = False  # the head's address is kept, workers' are private
    accelerators = "T4:1"
    infra = ("--infra", f"azure/{REGION}", "-t", KIND)
    because: Mapping[str, str] = {}
    env: Mapping[str, str] = {}
    other: Mapping[str, str] = {"ARM_SUBSCRIPTION_ID": ANOTHER}
    secrets = ()

    server: ThreadingHTTPServer

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager = Manager(subscriptions={ACCOUNT, ANOTHER}, polls=0)

    def __enter__(self) -> Self:
        path = f"{BIN}:{plugins(self.folder / 'plugins')}:{os.environ['PATH']}"
        self.server = serve(self.manager)
        self.env = {
            "ARM_SUBSCRIPTION_ID": ACCOUNT,
            "AZURE_CONFIG_DIR": str(self.folder / "no-az"),
            "ECHO_SUBSCRIPTION": ACCOUNT,
            "SKYRIG_AZURE_LOOPBACK": self.manager.address,
            "SKYRIG_SSH_FROM": "203.0.113.7/32",
            "PATH": path,
        }
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def machines(self, stack: str) -> Mapping[str, Machine]:
        within = f"{home(stack)}{_MACHINES}".lower()
        found = {}
        for path, power in self.manager.machines.items():
            if path.startswith(within):
                tags = self.manager.things[path]["tags"]
                found[tags["skyrig-node"]] = Machine("up" if power == "running" else "stopped", tags=tags)
        return found

    def lose(self, stack: str, node: str) -> None:
        self.manager.drop(self._path(stack, node))

    def end(self, stack: str, node: str) -> None:
        code, said, _ = self.manager.answer("DELETE", self._path(stack, node))
        assert code == 202, said  # tests/clouds/azure/test_azure_boot.py: the program on the node asks for this
        self.manager.drop(self._path(stack, node))

    def left(self, stack: str) -> Sequence[str]:
        mine = (home(stack).lower(), role(stack).lower())
        return [path for path in self.manager.things if path.startswith(mine)]

    def _path(self, stack: str, node: str) -> str:
        within = f"{home(stack)}{_MACHINES}".lower()
        there = [path for path in self.manager.machines if path.startswith(within)]
        [path] = [path for path in there if self.manager.things[path]["tags"]["skyrig-node"] == node]
        return path
