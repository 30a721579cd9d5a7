"""A keeper's cluster whose nodes can be killed whole, and come back as other machines under their own ids."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path

from attrs import evolve
from keeper_cluster import KeeperCluster, ServedNode, until

from skyrig.cluster.description import Node


class Machine(ServedNode):
    """A node's machine; `life` counts those that were behind its id."""

    def __init__(self, folder: Path, number: int, life: int) -> None:
        self.life = life
        super().__init__(folder, number)

    def describe(self, host_key: str) -> Node:
        """As the cluster's description has it."""
        node = super().describe(host_key)
        return evolve(node, incarnation=f"{node.incarnation}.{self.life}")


class ElasticCluster(KeeperCluster):
    """Nodes n0 (the head), n1, ..."""

    def kill_node(self, number: int) -> None:
        """Everything on a node ends at once, with nobody told."""
        home = self.nodes[number].home
        mark = b"HOME=" + os.fsencode(home) + b"\0"

        def found() -> list[int]:
            pids = []
            for entry in Path("/proc").iterdir():
                with contextlib.suppress(OSError):
                    if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                        pids.append(int(entry.name))
            return pids

        def gone() -> bool:
            left = found()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                self.nodes[number].process.poll()
            return not left

        until(gone, f"nothing runs on n{number}")
        self.nodes[number].process.wait()

    def replace(self, number: int, *, tell: bool = True) -> None:
        """Another machine takes the place of one that is gone; the keeper hears of it, if it is told."""
        life = getattr(self.nodes[number], "life", 0) + 1
        shutil.rmtree(self.nodes[number].home)
        self.nodes[number] = Machine(self.folder, number, life)
        if tell:
            self.describe()

    def heal(self) -> None:
        """Make whole what a test has done, and take its files away."""
        with contextlib.suppress(AssertionError):  # its jobs may have ended by themselves
            self.ask(op="cancel", ids=None)
        for node in self.nodes:
            for name in ("ready", "done", "bereft", "own"):
                (node.home / name).unlink(missing_ok=True)
        for number, node in enumerate(self.nodes):
            if node.process.poll() is not None:
                self.replace(number, tell=False)
        self.describe()
