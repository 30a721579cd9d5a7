"""A cluster that can switch itself off: each node writes down that it did, and lives on for the tests to look."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import evolve
from keeper_cluster import KeeperCluster, until

from skyrig.cluster.autostop import NOTE
from skyrig.cluster.description import ClusterDescription, Power

POWER = Power(stop_itself="echo stop >> ~/power", end_itself="echo end >> ~/power")


class AutostopCluster(KeeperCluster):
    """`power` is what its nodes can do to themselves."""

    power = POWER

    def description(self, count: int | None = None) -> ClusterDescription:
        """The cluster, or its first `count` nodes."""
        return evolve(super().description(count), power=self.power)

    def autostop(self, seconds: float | None, **more: Any) -> dict[str, Any]:
        """Set it, or with None cancel it; the keeper's note."""
        setting = None if seconds is None else {"idle_s": seconds, **more}
        note: dict[str, Any] = self.ask(op="autostop", setting=setting)["note"]
        return note

    def note(self) -> dict[str, Any]:
        """The note in the records folder."""
        data: dict[str, Any] = json.loads((self.records / NOTE).read_text())
        return data

    def acted(self, number: int = 0) -> str:
        """What a node did to itself first; "" where nothing."""
        file = self.nodes[number].home / "power"
        return file.read_text().split()[0] if file.exists() and file.stat().st_size else ""

    def left(self, seconds: float = 20) -> float:
        """Wait until the head has switched itself off; when it did, in seconds since the epoch."""
        until(self.acted, f"the head goes\n{self.keeper_log()}", seconds)
        return (self.nodes[0].home / "power").stat().st_mtime

    def end_keeper(self) -> None:
        """kill -9 watch and keeper, and see that they are gone."""
        for of in ("watch", "lock"):
            os.kill(self.pid(of), signal.SIGKILL)
        until(lambda: not self.pid(), "the keeper is gone")

    @contextmanager
    def held(self) -> Iterator[None]:
        """A client that has connected and not submitted yet."""
        with self.connect() as line, line.makefile("rwb") as stream:
            stream.write(json.dumps({"op": "hello", "digest": "", "hold": True}).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.readline())
            assert "error" not in answer, answer
            yield

    def terminals(self, count: int, closed_s: float | None = None) -> None:
        """What the nodes' SSH servers say of terminals (they share a folder here)."""
        closed_at = None if closed_s is None else time.monotonic() - closed_s
        fresh = self.folder / "terminals.fresh"
        fresh.write_text(json.dumps({"open": count, "closed_at": closed_at}))
        fresh.replace(self.folder / "terminals")
