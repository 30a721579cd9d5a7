"""The user's own machines for the suite of all clouds: namespaces with stock sshd; one of them is reached from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from own_machines import OwnMachines, machines
from worlds import Machine as There

from skyrig.catalog import facts

_COUNT = 4


class World:
    """Four machines in one pool."""

    lands = False  # two minutes and more: a machine that is gone is waited for at each look
    answers = True
    moves = False
    because: Mapping[str, str] = {"stop": facts.of("ssh", "power")["refused"]["on-demand"]}
    infra: Sequence[str] = ["--infra", "ssh/lab"]
    accelerators = ""
    secrets: Sequence[str] = ()

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gone: set[str] = set()

    def __enter__(self) -> Self:
        self._own = OwnMachines(self._folder / "own", machines(_COUNT))
        (self._folder / "catalog").mkdir()
        other = self._folder / "other.yaml"
        other.write_text(self._own.file.read_text().replace("name: lab-of-tests", "name: somebody-elses"))
        self.env: Mapping[str, str] = {"SKYRIG_SSH_MACHINES": str(self._own.file)}
        self.other: Mapping[str, str] = {"SKYRIG_SSH_MACHINES": str(other)}
        key = self._own.identity.read_text().splitlines()
        self.secrets = tuple(line for line in key[1:-1] if line)
        self._before = {name: self._own.home(name) for name in self._own.nodes}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own.close()

    def machines(self, stack: str) -> Mapping[str, There]:
        """The machines that are lent to a stack, as their own disks tell."""
        found = {}
        for name, lease in self._leases(stack).items():
            host, port = ("127.0.0.1", self._own.door.port) if name == "m0" else ("", 22)
            tags = {f"skyrig-{key}": str(lease[key]) for key in ("stack", "node", "owner", "task")}
            found[str(lease["node"])] = There("up", host, port, tags)
        return found

    def lose(self, stack: str, node: str) -> None:
        """Pull the plug of a node's machine."""
        [name] = [name for name, lease in self._leases(stack).items() if lease["node"] == node]
        self._own.nodes[name].stop()
        self._gone.add(name)

    def end(self, stack: str, node: str) -> None:
        raise AssertionError("the keeper ends them")

    def left(self, stack: str) -> Sequence[str]:
        """Whatever of a machine's home is not as it was."""
        found = []
        for name in self._there():
            now, before = self._own.home(name), self._before[name]
            found += [f"{name}:{path}" for path in sorted({*now, *before}) if now.get(path) != before.get(path)]
            found += [f"{name}: process {pid}" for pid in self._own.nodes[name].pids("skyrig")]
        return found

    def _there(self) -> list[str]:
        return [name for name in self._own.nodes if name not in self._gone]

    def _leases(self, stack: str) -> dict[str, dict[str, Any]]:
        found = {name: self._own.lease(name) for name in self._there()}
        return {name: lease for name, lease in found.items() if lease is not None and lease["stack"] == stack}
