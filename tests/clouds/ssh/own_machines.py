"""A user's own machines as the tests have them: stock sshd in namespaces, and an inventory that lists them.

`machines[0]` is reached from here, at a port on loopback; the others are on a network behind it, which it alone is on.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "foreign"))

from foreign_nodes import SSHD, ForeignNode, Lab, Machine, Python, _enter, _public, pythons

POOL = "lab"
_CHUNK = 1 << 16
_MB = 1500


def machines(count: int) -> list[Machine]:
    """So many machines; skips where they cannot be had here."""
    if os.getuid() != 0 or not Path("/proc/self/ns/net").exists():
        pytest.skip("machines in namespaces need root on Linux")
    missing = [name for name in ("unshare", "nsenter", "ip") if shutil.which(name) is None]
    if SSHD is None or missing:
        pytest.skip(f"not on this machine: {', '.join([*missing, *([] if SSHD else ['sshd'])])}")
    found = pythons("3.9", "3.8", "3.10")
    if not found:
        pytest.skip("no Python 3.8, 3.9 or 3.10 on PATH or of pyenv's")
    python = next(iter(found.values()))
    first = Machine("m0", python, home_mb=_MB)
    return [first, *(Machine(f"m{number}", python, "sky", "/home/sky", home_mb=_MB) for number in range(1, count))]


class Door:
    """A port on loopback that leads to the SSH server of a node, in the network where that node alone is."""

    def __init__(self, node: ForeignNode) -> None:
        self._pid = node.pid
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        """A socket belongs to the network that its maker is in; this thread goes into the node's."""
        try:
            with Path(f"/proc/{self._pid}/ns/net").open() as there:
                _enter(there.fileno())
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", 22))
                except OSError:
                    near.close()
                    continue
                threading.Thread(target=self._carry, args=(near, far), daemon=True).start()
        except OSError:
            return

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        self._open |= {near, far}
        other = {near: far, far: near}
        with selectors.DefaultSelector() as ready, contextlib.suppress(OSError):
            for each in other:
                ready.register(each, selectors.EVENT_READ)
            while ready.get_map():
                for key, _ in ready.select():
                    source: Any = key.fileobj
                    data = source.recv(_CHUNK)
                    if data:
                        other[source].sendall(data)
                    else:
                        ready.unregister(source)
                        other[source].shutdown(socket.SHUT_WR)
        for each in other:
            each.close()
            self._open.discard(each)


class OwnMachines:
    """So many machines, the first of which is reached from here and the others through it."""

    def __init__(self, folder: Path, machines: Sequence[Machine]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lab").mkdir()
        self.lab = Lab(folder / "lab", list(machines))
        self.door = Door(self.lab.head)
        self.identity = folder / "id"
        self.lab.key.write_private_key(str(self.identity))
        self.identity.chmod(0o600)
        self.file = folder / "ssh.yaml"
        self.write(self.inventory())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        self.door.close()
        self.lab.close()

    @property
    def nodes(self) -> Mapping[str, ForeignNode]:
        """The machines by name."""
        return {node.machine.id: node for node in self.lab.nodes}

    def machine(self, name: str) -> dict[str, Any]:
        """What an inventory says of a machine."""
        rank = list(self.nodes).index(name)
        node = self.nodes[name]
        said: dict[str, Any] = {
            "host": f"10.8.0.{rank + 1}",
            "user": node.machine.user,
            "host_key": _public(node.host_key),
        }
        if rank == 0:
            return {**said, "host": "127.0.0.1", "port": self.door.port, "address": "10.8.0.1", "internal_port": 22}
        return {**said, "jump": self.lab.head.machine.id}

    def inventory(self, **pools: Sequence[str]) -> dict[str, Any]:
        """An inventory of pools by name, each with some machines; by default of all in one. A head that is not in a
        pool is its gate."""
        listed: dict[str, Any] = {}
        head = self.lab.head.machine.id
        for pool, names in (pools or {POOL: list(self.nodes)}).items():
            listed[pool] = {
                "identity_file": str(self.identity),
                "machines": {name: self.machine(name) for name in names},
            }
            if head not in names:
                gate = self.machine(head)
                listed[pool]["gates"] = {head: {key: gate[key] for key in ("host", "port", "user", "host_key")}}
        return {"name": "lab-of-tests", "pools": listed}

    def write(self, inventory: Mapping[str, Any]) -> None:
        """Have the inventory say that."""
        self.file.write_text(yaml.safe_dump(dict(inventory), sort_keys=False))

    def home(self, name: str) -> dict[str, bytes | str]:
        """All that lies in a machine's home: contents by path, of folders "", of links where they lead."""
        root = self.nodes[name].path("")
        found: dict[str, bytes | str] = {}
        for where, folders, files in os.walk(root):
            for each in (*folders, *files):
                path = Path(where, each)
                mode = oct(path.lstat().st_mode)
                content: bytes | str = mode
                if path.is_symlink():
                    content = f"{mode} -> {path.readlink()}"
                elif path.is_file():
                    content = mode.encode() + b" " + path.read_bytes()
                found[str(path.relative_to(root))] = content
        return found

    def lease(self, name: str) -> dict[str, Any] | None:
        """Whose a machine is, as it lies there."""
        try:
            found: dict[str, Any] = json.loads(self.nodes[name].path(".skyrig-machine/lease.json").read_text())
        except OSError:
            return None
        return found


__all__ = ["OwnMachines", "Python", "machines"]
