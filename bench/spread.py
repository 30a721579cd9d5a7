"""One workdir from a head to many nodes: the head sends to all itself (flat), or relays pass it on (tree)."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import Figures
from bench.servers import USER_ID, Farm, farm
from skyrig.fleet.blobs import BlobStore, frames
from skyrig.fleet.content import FrameReader, Manifest
from skyrig.fleet.manifest import build
from skyrig.fleet.pool import Pool
from skyrig.fleet.receiver import Changes
from skyrig.fleet.spread import Load, Means, Route, routes, spread
from skyrig.fleet.workdir import select

_FILES = 16


def measure(nodes: int, megabytes: int, rounds: int) -> list[Figures]:
    """`megabytes` to each of `nodes` OpenSSH servers, connections open; every round has contents of its own."""
    with tempfile.TemporaryDirectory(prefix="skyrig-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with farm(nodes, folder / "farm") as servers:
            return [asyncio.run(_rounds(servers, folder, megabytes, rounds))]


async def _rounds(servers: Farm, folder: Path, megabytes: int, rounds: int) -> Figures:
    targets = servers.targets
    figures = Figures(f"{megabytes} MB to {len(targets)} nodes on loopback", "flat")
    tree = routes(targets, 1 << 40)
    figures.notes.append(f"the head sends each content {len(targets)} times (flat), {len(tree)} times (tree)")
    means = Means(ssh_config=str(_for_nodes(servers)))
    python = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin") or sys.executable
    async with Pool(servers.key) as pool:
        await asyncio.gather(*(pool.connection(target) for target in targets))
        for number in range(rounds):
            for name, planned in (("flat", [Route(target) for target in targets]), ("tree", tree)):
                store, manifest = _stored(folder / f"{name}{number}", megabytes)
                began = time.process_time()
                with figures.timed(name):
                    loads = [Load(manifest)]
                    ends = await spread(pool, targets, store, loads, python=python, means=means, planned=planned)
                figures.add(f"{name}, CPU of the head", time.process_time() - began)
                assert all(isinstance(end, Changes) and not end.note for end in ends.values()), ends
    return figures


def _for_nodes(servers: Farm) -> Path:
    """An ssh_config with a key that the nodes' user may read, for ssh from one to another."""
    key, config = servers.key_file.with_name("id.nodes"), servers.ssh_config.with_name("ssh_config.nodes")
    shutil.copy(servers.key_file, key)
    if os.getuid() == 0:
        os.chown(key, USER_ID, USER_ID)
    config.write_text(servers.ssh_config.read_text().replace(str(servers.key_file), str(key)))
    return config


def _stored(root: Path, megabytes: int) -> tuple[BlobStore, Manifest]:
    """A head's store with a fresh workdir in it."""
    (root / "files").mkdir(parents=True)
    for number in range(_FILES):
        (root / "files" / f"f{number}").write_bytes(os.urandom(megabytes * 1_000_000 // _FILES))
    manifest = build(root / "files", select(root / "files"), None)
    store = BlobStore(root / "store")
    reader = FrameReader(store, manifest.blobs())
    for block in frames(root / "files", manifest, manifest.blobs()):
        reader.feed(block)
    return store, manifest
