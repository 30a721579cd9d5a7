"""A workdir of many small files on its way to every node of a local cluster, beside rsync to the same nodes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve

from bench.cluster import Cluster, Lines, run
from bench.figures import Figures
from bench.servers import client_config, write_key
from skyrig.cluster.description import ClusterDescription
from skyrig.fleet.target import from_description
from skyrig.launch import files, link
from skyrig.launch.job import JobRequest, Scripts

OURS = "skyrig, to all nodes"
_FOLDERS = 50
_FILE_BYTES = 4000


def measure(bench: Cluster, files: int, nodes: int, rounds: int) -> list[Figures]:
    """First and unchanged syncs of `files` files to `nodes` nodes; every round has contents of its own."""
    description = bench.sized(nodes)
    first = Figures(f"{files} files to {nodes} nodes, first time", OURS)
    again = Figures(f"{files} files to {nodes} nodes, unchanged", OURS)
    for number in range(rounds):
        root = bench.project / f"workdir{number}"
        size = _fill(root, files)
        with counted(description.head.host, description.head.port) as (port, sent):
            behind = evolve(description.head, host="127.0.0.1", port=port)
            _round(bench, description, root, first, by=evolve(description, nodes=(behind, *description.nodes[1:])))
            first.notes.append(f"the client sent {sum(sent) / size:.2f} times the {size} bytes of the files")
        _round(bench, description, root, again, by=description)
    return [first, again]


def _round(
    bench: Cluster, description: ClusterDescription, root: Path, figures: Figures, *, by: ClusterDescription
) -> None:
    """One sync by each contestant, ours `by` this way to the head. A job ends the nodes' part of ours, so the time of
    a job without files is taken off."""
    with figures.timed("skyrig, client to head alone"):
        asyncio.run(_sync(by, root))
    _job(bench, description, None)  # the keeper has heard of another way to the head, and hears of the usual one again
    with figures.timed("a job without files"):
        _job(bench, description, None)
    with figures.timed("a job with the files on all nodes"):
        _job(bench, description, root)
    took = {name: figures.seconds[name][-1] for name in figures.seconds if name != OURS}
    figures.add(OURS, max(took["a job with the files on all nodes"] - took["a job without files"], 0.001))
    if by is not description:  # that job found the files on the head already
        figures.seconds[OURS][-1] += took["skyrig, client to head alone"]
    if shutil.which("rsync") is None:
        figures.notes.append("rsync is not installed: left out")
        return
    with figures.timed("rsync, all nodes at once"):
        _wait(_rsyncs(description, root, "at-once", bench.project))
    with figures.timed("rsync, node after node"):
        for process in _rsyncs(description, root, "in-turn", bench.project):
            _wait([process])


def _job(bench: Cluster, description: ClusterDescription, root: Path | None) -> None:
    nodes = len(description.nodes)
    assert run(bench.stack, nodes, Lines(nodes), root) == 0


async def _sync(description: ClusterDescription, root: Path) -> None:
    async with link.keeper(description, prepare=True) as keeper:
        nothing = JobRequest("sync", 1, Scripts({}))
        await files.bring(keeper, nothing, workdir=root, mounts={}, notify=lambda line: None)


def _rsyncs(description: ClusterDescription, root: Path, place: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    write_key(folder, description.ssh.private_key)
    targets = [from_description(description, node.id) for node in description.nodes]
    shell = f"ssh -F {client_config(folder, targets)}"
    for target in targets:
        yield subprocess.Popen(["rsync", "-a", "--delete", "-e", shell, f"{root}/", f"{target.id}:{place}/"])


def _wait(processes: Iterator[subprocess.Popen[bytes]] | Sequence[subprocess.Popen[bytes]]) -> None:
    assert {process.wait() for process in list(processes)} == {0}


def _fill(root: Path, files: int) -> int:
    """Random files in _FOLDERS folders; their size in bytes."""
    for number in range(files):
        path = root / f"d{number % _FOLDERS}" / f"f{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(_FILE_BYTES))
    return files * _FILE_BYTES


@contextmanager
def counted(host: str, port: int) -> Iterator[tuple[int, list[int]]]:
    """A port on loopback that leads to `host`:`port`, and how many bytes went each connection's way in there so far."""
    sent: list[int] = []

    def carry(source: socket.socket, sink: socket.socket, at: int | None) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 18):
                sink.sendall(block)
                if at is not None:
                    sent[at] += len(block)
            sink.shutdown(socket.SHUT_WR)

    def accept(door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, far = door.accept()[0], socket.create_connection((host, port))
                sent.append(0)
                threading.Thread(target=carry, args=(near, far, len(sent) - 1), daemon=True).start()
                threading.Thread(target=carry, args=(far, near, None), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=accept, args=(door,), daemon=True).start()
        yield door.getsockname()[1], sent
        door.shutdown(socket.SHUT_RDWR)
