"""What a steward must not forget: the versions of its service, its replicas, and where an update is. All of it is on
disk before anything is done because of it; texts, environment and secrets of a version are in the vault."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import cattrs
from attrs import evolve, frozen

from skyrig.serve.spec import ServiceSpec
from skyrig.serve.state import ReplicaStatus, UpdateState

FILE = "state.json"
"""Its name in the steward's folder: where it is, a service is applied."""


@frozen
class Version:
    """One version of the service. `digest` tells it from others, `body` is that part of it which replicas are made of:
    versions of one body share them. `failures` counts replicas that ended where that speaks against the version,
    `streak` those that ended in a row, and until `hold_until` no other one is started."""

    number: int
    spec: ServiceSpec
    digest: str = ""
    body: str = ""
    was_ready: bool = False
    failures: int = 0
    streak: int = 0
    hold_until: float = 0.0


@frozen
class Held:
    """One replica, with what the steward needs beside its state.Replica. `begun_at` is when it got its nodes, `bad_at`
    since when its probes fail, `drain_at` since when it takes no new requests. With `cut` its job is to end; `freed`:
    it has, and the nodes hold nothing of it any more. `port` is 0 until it was chosen."""

    id: int
    version: int
    status: ReplicaStatus = ReplicaStatus.PENDING
    nodes: tuple[str, ...] = ()
    port: int = 0
    job: int = 0
    created_at: float = 0.0
    begun_at: float = 0.0
    ready_at: float = 0.0
    bad_at: float = 0.0
    drain_at: float = 0.0
    ended_at: float = 0.0
    cut: bool = False
    freed: bool = False
    reason: str = ""
    last_lines: tuple[str, ...] = ()

    @property
    def live(self) -> bool:
        """Whether it serves, or may come to."""
        return not self.status.ended and self.status is not ReplicaStatus.SHUTTING_DOWN

    @property
    def ready(self) -> bool:
        """Whether its probes are good."""
        return self.status is ReplicaStatus.READY

    @property
    def placed(self) -> bool:
        """Whether nodes are taken by it."""
        return bool(self.nodes) and not self.freed


@frozen
class Scale:
    """How many replicas the load wants: `number` now, and which side of it has been due since when (0.0: none)."""

    number: int
    up_since: float = 0.0
    down_since: float = 0.0


@frozen
class Memory:
    """A service as its steward remembers it. `uid` is of this service and no other, also of one that has its name
    later. `target` is the version that shall be, `previous` the one to go back to (0: none). `update_at` is when the
    update began; with `switched` a blue-green one has its requests moved, and with `surgeless` a rolling one goes on
    without a node more. `failed` says why the service is given up. `newest` is the highest number that a
    version had, `lost` are the nodes that do not answer."""

    uid: str
    name: str
    target: int
    versions: tuple[Version, ...]
    scale: Scale
    previous: int = 0
    next_id: int = 1
    replicas: tuple[Held, ...] = ()
    update: UpdateState = UpdateState.NONE
    update_reason: str = ""
    update_at: float = 0.0
    switched: bool = False
    surgeless: bool = False
    ready_at: float = 0.0
    failed: str = ""
    stopping: bool = False
    newest: int = 1
    lost: tuple[str, ...] = ()

    def version(self, number: int) -> Version:
        """A version by its number; KeyError where it is not remembered."""
        for each in self.versions:
            if each.number == number:
                return each
        raise KeyError(number)

    @property
    def spec(self) -> ServiceSpec:
        """What the service shall be."""
        return self.version(self.target).spec

    def replica(self, replica_id: int) -> Held | None:
        """A replica by its id."""
        return next((each for each in self.replicas if each.id == replica_id), None)

    def with_replica(self, replica_id: int, change: Callable[[Held], Held]) -> Memory:
        """The same with one replica changed."""
        return evolve(self, replicas=tuple(change(each) if each.id == replica_id else each for each in self.replicas))

    def with_version(self, changed: Version) -> Memory:
        """The same with one version changed."""
        kept = tuple(changed if each.number == changed.number else each for each in self.versions)
        return evolve(self, versions=kept)


@frozen
class _Kept:
    """The file: `form` is that of the rest, which a later steward may have to change."""

    memory: Memory
    form: int = 1


_CONVERTER = cattrs.Converter()


class Disk:
    """The steward's folder, as far as what must not be forgotten lies there."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._text = ""

    def load(self) -> Memory | None:
        """What the steward before this one knew; None where no service is applied."""
        try:
            self._text = self._file.read_text()
        except FileNotFoundError:
            return None
        return _CONVERTER.structure(json.loads(self._text), _Kept).memory

    def save(self, memory: Memory) -> None:
        """Have it on disk, whole or not at all; nothing is written where nothing changed (OSError: no room)."""
        text = json.dumps(_CONVERTER.unstructure(_Kept(memory)))
        if text != self._text:
            write(self._file, text)
            self._text = text

    def forget(self) -> None:
        """The service is no more."""
        self._file.unlink(missing_ok=True)
        self._text = ""


def write(path: Path, text: str) -> None:
    """Write a file of ours, readable by us alone, whole or not at all, and be sure that it is on disk."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
