"""What lies where in the folder of a local node, and what is said about it: plain values, standard library only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from skyrig.errors import SkyrigError
from skyrig.fleet.local.files import locked, take_lock

LEVELS = ("namespaces", "plain")
POWERS = ("up", "stopped")

SHUTDOWN_S = 5.0
"""How long what runs in a node that shuts down may take to end by itself, in seconds."""


class LocalNodeError(SkyrigError):
    """A local node could not be started, stopped or looked at."""


class NodeRequest(NamedTuple):
    """What `start` is asked for.

    `folder` is the node's own, its parent the stack's, in which the network lies too; `records` (a folder, made if need
    be) stays the host's inside the node. `cpus` (cores) and `memory_gb` (GiB) 0 are what the machine has. `address` is
    used on level `namespaces` alone. `zone` ("": nobody has said) and `spot` say whose capacity it takes. `image` is
    the folder of the version that it begins with (skyrig.fleet.local.images), "" for nothing.
    """

    folder: Path
    stack: str
    node_id: str
    level: str
    alias: str
    authorized_key: str
    accelerators: dict[str, Any]
    records: Path
    cpus: float = 0
    memory_gb: float = 0
    address: str = "127.0.0.1"
    zone: str = ""
    spot: bool = False
    image: str = ""

    @classmethod
    def read(cls, data: dict[str, Any]) -> NodeRequest:
        """From the JSON object on stdin; LocalNodeError names what is missing or wrong."""
        unknown = sorted(set(data) - set(cls._fields))
        missing = sorted(set(cls._fields) - set(cls._field_defaults) - set(data))
        if unknown or missing:
            raise LocalNodeError(f"node request: missing {missing}, unknown {unknown}")
        if data["level"] not in LEVELS:
            raise LocalNodeError(f"isolation level {data['level']!r} is none of {', '.join(LEVELS)}")
        return cls(**{**data, "folder": Path(data["folder"]), "records": Path(data["records"])})

    def as_json(self) -> dict[str, Any]:
        """What `read` reads; of a node of no place and no image what it was before there were such."""
        said = {**self._asdict(), "folder": str(self.folder), "records": str(self.records)}
        return {key: value for key, value in said.items() if value or key not in ("zone", "spot", "image")}


class HostKey(NamedTuple):
    """A node's host key: `private` in OpenSSH's PEM text, `public` as one OpenSSH line."""

    private: str
    public: str


class NodeFolder(NamedTuple):
    """Paths in the folder of one node."""

    path: Path

    @property
    def state(self) -> Path:
        """JSON with all that `check` answers; there once the node is complete."""
        return self.path / "node.json"

    @property
    def lock(self) -> Path:
        """Held (flock, exclusive) by the server for its life; whoever can take it knows that the node is dead."""
        return self.path / "alive.lock"

    @property
    def stopped(self) -> Path:
        """There while the node is switched off on purpose, by `halt` or by itself: one that was killed lacks it."""
        return self.path / "stopped"

    @property
    def ended(self) -> Path:
        """There once the node was told from inside to end for good (see `power` of the cluster's description): it never
        starts again, and its folder only waits to be removed."""
        return self.path / "ended"

    @property
    def terminals(self) -> Path:
        """What the server says of interactive terminals (see skyrig.fleet.local.terminals)."""
        return self.path / "terminals"

    @property
    def at_boot(self) -> Path:
        """A shell script that the node runs whenever it starts, if it is there."""
        return self.home / ".skyrig" / "at-boot"

    @property
    def room(self) -> Path:
        """JSON of the process that has taken room for the node, to make or start it (skyrig.fleet.local.capacity)."""
        return self.path / "room"

    @property
    def cut(self) -> Path:
        """JSON, there while the node is cut off from the others on purpose (skyrig.fleet.local.partition)."""
        return self.path / "cut"

    @property
    def preemption(self) -> Path:
        """JSON that says until when the node is there, if somebody said so (see skyrig.fleet.local.preemption)."""
        return self.home / ".skyrig" / "preemption.json"

    @property
    def hidden(self) -> Path:
        """How many declared accelerators are hidden on purpose (skyrig.fleet.local.ailing), if any are."""
        return self.home / ".skyrig" / "hidden"

    @property
    def clock(self) -> Path:
        """By how many seconds the node's clock is off on purpose (skyrig.fleet.local.ailing), if it is."""
        return self.home / ".skyrig" / "clock"

    @property
    def keeper_where(self) -> Path:
        """A file with the folder of the keeper's socket, where that lies in /tmp (skyrig.launch.keeper)."""
        return self.home / ".skyrig" / "keeper.where"

    @property
    def home(self) -> Path:
        """The node's $HOME."""
        return self.path / "home"

    @property
    def tmp(self) -> Path:
        """The node's temporary files."""
        return self.path / "tmp"

    @property
    def root(self) -> Path:
        """The node's root on level namespaces."""
        return self.path / "root"

    @property
    def environment(self) -> Path:
        """The node's own python environment."""
        return self.path / "env"

    @property
    def shims(self) -> Path:
        """Programs that stand before the system's on the node's PATH."""
        return self.path / "bin"

    @property
    def host_key(self) -> Path:
        """The private host key, OpenSSH format, mode 0600."""
        return self.path / "host_key"

    @property
    def log(self) -> Path:
        """What the server itself has to say."""
        return self.path / "server.log"

    @property
    def authorized_keys(self) -> Path:
        """Public keys that may log in; read again at every login."""
        return self.home / ".ssh" / "authorized_keys"

    def read_state(self) -> dict[str, Any] | None:
        """What was said of the node when it was started; None where there is no complete node."""
        try:
            data: dict[str, Any] = json.loads(self.state.read_text())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return None
        return data

    def write_state(self, state: dict[str, Any]) -> None:
        """Say that the node is complete: whole file or none."""
        fresh = self.state.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(self.state)

    def take_lock(self) -> int | None:
        """A descriptor that holds the node's lock exclusively, or None where another process holds it."""
        return take_lock(self.lock)

    def alive(self) -> bool:
        """Whether a process holds the node's lock."""
        return locked(self.lock)

    def power(self) -> str:
        """`up`; `stopped`, on purpose (what runs in it may still be ending); `ended` for good, by itself; or `gone`:
        killed, or never complete."""
        if self.read_state() is None:
            return "gone"
        if self.ended.exists() and not self.alive():
            return "ended"
        if self.stopped.exists():
            return "stopped"
        return "up" if self.alive() else "gone"
