"""The programs of the local cloud as the components run them, and SSH clients for what they start."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from skyrig.fleet.ssh import asyncssh

T = TypeVar("T")

LIMIT_S = 60.0
LEVELS = ("plain", "namespaces")


class LocalPrograms:
    """`python -m skyrig.fleet.local` on a data folder of its own, as the user that `prefix` switches to."""

    def __init__(self, home: Path, python: str = sys.executable, prefix: tuple[str, ...] = ()) -> None:
        self.home = home
        self.command = (*prefix, python, "-I", "-m", "skyrig.fleet.local")
        self.key = asyncssh.generate_private_key("ssh-ed25519")

    def run(self, verb: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of one verb, which must succeed."""
        done = self.call(verb, request)
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def call(self, verb: str, request: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        """One verb, whatever comes of it. Reading its output to the end shows that nothing it started holds it."""
        return subprocess.run(
            [*self.command, verb], input=json.dumps(request), capture_output=True, text=True, timeout=60, check=False
        )

    def stack(self, name: str) -> Path:
        """Folder of a stack's nodes."""
        return self.home / "local" / name

    def request(self, stack: str, number: int, level: str, **more: Any) -> dict[str, Any]:
        """What `start` is asked for."""
        return {
            "folder": str(self.stack(stack) / f"n{number}"),
            "stack": stack,
            "node_id": f"n{number}",
            "level": level,
            "alias": f"{stack}-n{number}",
            "authorized_key": self.key.export_public_key().decode(),
            "accelerators": {"name": "", "count": 0, "declared": False},
            "records": str(self.home / "stacks" / stack / "records"),
            "address": f"10.31.0.{10 + number}",
            **more,
        }

    def start(self, stack: str, number: int, level: str, **more: Any) -> dict[str, Any]:
        """Start a node, with its network before it."""
        self.run("network-start", {"folder": str(self.stack(stack)), "level": level})
        key = asyncssh.generate_private_key("ssh-ed25519")
        pair = {"private": key.export_private_key().decode(), "public": key.export_public_key().decode().strip()}
        return self.run("start", {"node": self.request(stack, number, level, **more), "host_key": pair})

    def stop_all(self, stack: str) -> None:
        """Take the stack's nodes and network away."""
        self.run("network-stop", {"folder": str(self.stack(stack))})

    def connect(self, node: Mapping[str, Any], **more: Any) -> Any:
        """An SSH connection that verifies the node's host key; to be awaited or entered."""
        known = asyncssh.import_known_hosts(f"[127.0.0.1]:{node['port']} {node['host_key']}\n")
        options = {"username": node["user"], "client_keys": [self.key], "known_hosts": known, "config": None, **more}
        return asyncssh.connect("127.0.0.1", node["port"], **options)

    def inside(self, node: Mapping[str, Any], command: str, **more: Any) -> asyncssh.SSHCompletedProcess:
        """What a command does on a node, over a connection of its own."""

        async def run() -> asyncssh.SSHCompletedProcess:
            async with self.connect(node) as connection:
                done: asyncssh.SSHCompletedProcess = await connection.run(command, **more)
                return done

        return bounded(run())


def bounded(work: Coroutine[Any, Any, T]) -> T:
    """What `work` comes to, within a minute."""

    async def run() -> T:
        return await asyncio.wait_for(work, LIMIT_S)

    return asyncio.run(run())


def processes_of(folder: Path) -> list[int]:
    """Processes of this machine that were started with `folder` in their arguments or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            if os.fsencode(folder) in told and not zombie:
                found.append(int(entry.name))
    return found


def listing_digest(folder: Path) -> str:
    """A digest of names, sizes and times of everything below `folder`, but for compiled files."""
    digest = hashlib.sha256()
    for place, folders, files in os.walk(folder):  # twenty thousand files: pathlib takes four times as long
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            told = os.lstat(f"{place}/{name}")
            digest.update(f"{place}/{name} {told.st_size} {told.st_mtime_ns}\n".encode(errors="surrogateescape"))
        digest.update(f"{place} {folders}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
