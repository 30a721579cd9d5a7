"""Runs rendered scripts as the ranks of one job on loopback, as a node's supervisor would start them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

from skyrig.cluster.description import Accelerators, ClusterDescription, Node, SshAccess
from skyrig.launch.environment import hostfile, processes_per_node, rank_environment
from skyrig.launch.job import JobRequest, Scripts


@frozen
class Rank:
    """One rank that has ended: its entry's exit code, what it printed, and the records of its processes."""

    code: int
    log: str
    records: dict[str, int]


def cluster_of(count: int, *, address: str = "127.0.0.1", accelerators: int = 0) -> ClusterDescription:
    """A cluster of the plain level: all nodes have one address, and their accelerators are only declared."""
    nodes = tuple(
        Node(
            id=f"n{rank}", rank=rank, host=address, port=2200 + rank, address=address, user="tester",
            host_key="ssh-ed25519 AAAA", incarnation="1", alias=f"test-worker{rank}" if rank else "test",
            accelerators=Accelerators("H100" if accelerators else "", accelerators, declared=True), cpus=2,
        )
        for rank in range(count)
    )  # fmt: skip
    return ClusterDescription(
        name="test", cloud="local", nodes=nodes, ssh=SshAccess(public_key=""), records="", isolation="plain"
    )


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(
    scripts: Scripts,
    folder: Path,
    *,
    nodes: int = 2,
    accelerators: int = 0,
    env: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The ranks' entries, started in `folder`/workdir; whatever of them is left at the end is killed."""
    cluster = cluster_of(nodes, accelerators=accelerators)
    request = JobRequest("test", nodes, scripts, env=dict(env or {}), accelerators=accelerators)
    port = free_port()
    workdir = folder / "workdir"
    home = folder / "home"
    for made in (workdir, home):
        made.mkdir(exist_ok=True)
    running = []
    try:
        for rank in range(nodes):
            rank_dir = folder / f"rank-{rank}"
            rank_dir.mkdir()
            files = {**scripts.files, "hostfile": hostfile(cluster.nodes, processes_per_node(request))}
            for name, text in files.items():
                (rank_dir / name).parent.mkdir(exist_ok=True)
                (rank_dir / name).write_bytes(text.encode(errors="surrogateescape"))
                (rank_dir / name).chmod(0o700 if name.endswith(".sh") or "/" in name else 0o600)
            variables = rank_environment(
                nodes=cluster.nodes,
                rank=rank,
                request=request,
                record_id=1,
                task_id="sky-test",
                cluster=cluster,
                port=port,
            )
            own = {"PATH": f"{Path(python).parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(home)}
            with (rank_dir / "log").open("wb") as log:
                running.append(
                    subprocess.Popen(
                        ["/bin/bash", rank_dir / scripts.entry],
                        cwd=workdir,
                        env={**own, **variables, "SKYRIG_RANK_DIR": str(rank_dir)},
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        yield running
    finally:
        for process in running:
            if process.poll() is None:
                for pid in [process.pid, *_descendants(process.pid)]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()


def _descendants(pid: int) -> list[int]:
    """Processes below `pid`, also those in sessions of their own, as torch's launcher makes them."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = [(int(child), int(parent)) for child, parent in (line.split() for line in table.splitlines())]
    found = [pid]
    for known in found:
        found.extend(child for child, parent in parents if parent == known)
    return found[1:]


def records_of(folder: Path, rank: int) -> dict[str, int]:
    """Codes of the processes of a rank by local rank."""
    found = {}
    for path in sorted((folder / f"rank-{rank}" / "proc").glob("*")):
        found[path.name.partition(".")[0]] = int(path.read_text())
    return found


def ended(running: list[subprocess.Popen[bytes]], folder: Path, timeout: float = 90) -> list[Rank]:
    """What became of all ranks, once they have ended; subprocess.TimeoutExpired after `timeout` seconds each."""
    return [
        Rank(
            process.wait(timeout),
            (folder / f"rank-{rank}" / "log").read_bytes().decode(errors="surrogateescape"),
            records_of(folder, rank),
        )
        for rank, process in enumerate(running)
    ]


def run(scripts: Scripts, folder: Path, *, timeout: float = 90, **how: object) -> list[Rank]:
    """Start all ranks and wait for them."""
    with started(scripts, folder, **how) as running:  # type: ignore[arg-type]
        return ended(running, folder, timeout)
