"""A node that serves, without the engine, and what the host finds of its open ports."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local_programs import LocalPrograms

from skyrig.fleet.local.files import wait_for

SERVED = Path(__file__).with_name("ports_served.py")
PORT = 8000


class ServingNode:
    """The head n0 of a stack of its own, whose PORT is open."""

    def __init__(self, programs: LocalPrograms, stack: str) -> None:
        self.programs = programs
        self.stack = stack
        self.node = programs.start(stack, 0, "namespaces")
        self.home = Path(self.node["folder"]) / "home"
        self.serve()
        self.number = self.open([str(PORT)])[PORT]

    def serve(self) -> None:
        """Start the program on PORT, and wait until it listens."""
        (self.home / "served.py").write_text(SERVED.read_text())
        (self.home / "serving").unlink(missing_ok=True)
        self.programs.inside(
            self.node, f"setsid -f python ~/served.py {PORT} > ~/served.log 2>&1 < /dev/null", check=True
        )
        assert wait_for(lambda: (self.home / "serving").exists() or None), (self.home / "served.log").read_text()

    def open(self, ranges: Sequence[str], before: Mapping[str, str] | None = None) -> dict[int, int]:
        """Have exactly these ports open; their numbers on the host."""
        answer = self.programs.run("ports-open", self.request(ranges, before))
        return {int(port): int(there) for port, there in answer["host_ports"].items()}

    def request(self, ranges: Sequence[str], before: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What `ports-open` is asked for."""
        folder, address = str(self.programs.stack(self.stack)), self.node["address"]
        return {"folder": folder, "head": "n0", "address": address, "ports": list(ranges), "before": dict(before or {})}

    def connect(self, number: int | None = None) -> socket.socket:
        """A connection to PORT, or to another number on the host."""
        return socket.create_connection(("127.0.0.1", number or self.number), 10)

    @property
    def gate(self) -> int:
        """Process of the stack's network."""
        return int(self.programs.run("network-check", {"folder": str(self.programs.stack(self.stack))})["pid"])

    def descriptors(self) -> int:
        """How many descriptors that process has open."""
        return len(list(Path(f"/proc/{self.gate}/fd").iterdir()))


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side ends."""
    parts = []
    while data := connection.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)
