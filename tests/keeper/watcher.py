"""A watcher of one job, over the keeper's socket; and what may become of nodes meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from keeper_cluster import KeeperCluster, until


class Watching(threading.Thread):
    """A watcher of one job; `told` are the sights, with the moment each came."""

    def __init__(self, cluster: KeeperCluster, key: str) -> None:
        super().__init__(daemon=True)
        self.told: list[tuple[float, dict[str, Any]]] = []
        self.refused: list[str] = []
        self._line = cluster.connect()
        self._line.settimeout(None)
        self._stream = self._line.makefile("rwb")
        self._say({"op": "watch", "key": key})
        self.start()

    def lease(self, left_s: float | None, said: str = "1 h") -> None:
        """Renew a controller's lease."""
        self._say({"lease": None if left_s is None else {"left_s": left_s, "said": said}})

    def run(self) -> None:
        """Until the line ends."""
        while line := self._stream.readline():
            said = json.loads(line)
            if "sight" in said:
                self.told.append((time.monotonic(), said["sight"]))
            else:
                self.refused.append(said["refused"])

    @property
    def sight(self) -> dict[str, Any]:
        """The newest."""
        until(lambda: self.told, "a first sight")
        return self.told[-1][1]

    @property
    def status(self) -> str | None:
        """The job's, None where there is no job."""
        record = self.sight["record"]
        return None if record is None else record["status"]

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def _say(self, message: dict[str, Any]) -> None:
        self._stream.write(json.dumps(message).encode() + b"\n")
        self._stream.flush()


def signal_node(cluster: KeeperCluster, number: int, signum: int) -> None:
    """Signal all that runs on a node, like a machine that shuts down, or (KILL) has no power any more, until nothing
    does; its SSH server is killed."""
    home = cluster.nodes[number].home
    mark = b"HOME=" + os.fsencode(home) + b"\0"

    def left() -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return [pid for pid in found if pid != cluster.nodes[number].process.pid]

    def gone() -> bool:
        pids = left()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        return not pids

    until(gone, f"nothing runs on n{number}")
    cluster.nodes[number].process.kill()
    cluster.nodes[number].process.wait()
