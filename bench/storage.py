"""How long training stands still for a checkpoint that goes to a bucket, and when the bucket has all of it.

The same state of a training goes to a real S3 server behind a proxy that adds to every round trip: by torch.save to a
bucket that is mounted (MOUNT), to one with a cache before it (MOUNT_CACHED), and by CheckpointManager. Beside them a
plain upload of the same file, which nothing can beat.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bench.figures import Figures, Say
from skyrig.errors import SkyrigError

if TYPE_CHECKING:
    import torch

    State = Mapping[str, torch.Tensor]

ROUND_TRIP_MS = 20
PLAIN = "a plain upload"
STOCK = "rclone mount as it comes"
PEER = "SKYRIG_BENCH_RCLONE"
"""Variable that names another rclone, for instance a distribution's, whose mount is measured beside ours."""

_STOCK_FLAGS = {"vfs-cache-mode": "off", "s3-chunk-size": "5Mi"}
"""rclone's own defaults: no cache, parts of 5 MiB."""

_TENSORS = 16
_START_S = 15.0


def measure(megabytes: int, rounds: int, say: Say) -> list[Figures]:
    """Saves of a state of so many megabytes (2^20 bytes), each contestant once a round. Nothing without torch and
    boto3."""
    if find_spec("torch") is None or find_spec("boto3") is None:
        say("torch or boto3 is not installed: left out")
        return []
    import torch

    size = f"{megabytes} MiB, {ROUND_TRIP_MS} ms of round trip"
    still = Figures(f"training stands still, {size}", "MOUNT")
    whole = Figures(f"until the bucket has all of it, {size}", PLAIN)
    state = {f"w{number}": torch.rand((megabytes << 20) // _TENSORS // 4) for number in range(_TENSORS)}
    with tempfile.TemporaryDirectory(prefix="bench-storage") as scratch, ExitStack() as ends:
        lab = Lab(Path(scratch), ends)
        for number in range(rounds):
            lab.plain(state, number, whole)
            for way in lab.ways:
                lab.mounted(way, state, number, still, whole)
            lab.managed(state, number, still, whole)
            say(f"round {number + 1} of {rounds}")
    return [still, whole]


@frozen
class Way:
    """A bucket mounted below a home folder of its own."""

    name: str
    mode: str
    home: Path
    flags: Mapping[str, str] = field(factory=dict)


class Lab:
    """A bucket on a server of its own, mounted in several ways."""

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        from skyrig.storage import programs, rclone
        from skyrig.storage.remote import Remote

        self._rclone = programs.rclone()
        self._folder = folder
        self._keys = {"access_key_id": "bench", "secret_access_key": secrets.token_hex(16)}
        (folder / "data").mkdir()
        port = ends.enter_context(_server(programs.versitygw(), folder, self._keys))
        self._endpoint = f"http://127.0.0.1:{ends.enter_context(_far(port))}"
        self._remote = {"type": "s3", "provider": "Other", "endpoint": self._endpoint}
        rclone.run(["mkdir", "skyrig:bench"], {"skyrig": Remote(self._remote, self._keys)}, what="a bucket")
        os.environ |= {
            "AWS_ACCESS_KEY_ID": self._keys["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": self._keys["secret_access_key"],
            "AWS_ENDPOINT_URL_S3": self._endpoint,
            "AWS_REGION": "us-east-1",
        }
        self.ways = [Way(STOCK, "MOUNT", folder / "stock", _STOCK_FLAGS)]
        self.ways += [Way(mode, mode, folder / mode) for mode in ("MOUNT", "MOUNT_CACHED")]
        for way in self.ways:
            self._attach(way)
            ends.callback(self._node, way, {"op": "detach", "targets": None, "deadline_s": 60, "force": True})
        if peer := os.environ.get(PEER):
            said = subprocess.run([peer, "version"], capture_output=True, text=True, check=True).stdout
            self.ways.insert(0, Way(f"{said.splitlines()[0]}, mount as it comes", "MOUNT", folder / "peer"))
            ends.enter_context(self._mounted_by(peer, folder / "peer" / "bucket"))

    def plain(self, state: State, number: int, whole: Figures) -> None:
        """The file as it is, once it is on disk."""
        import torch

        from skyrig.storage import rclone
        from skyrig.storage.remote import Remote

        file = self._folder / "plain.pt"
        torch.save(state, file)
        remote = Remote(self._remote, self._keys)
        with whole.timed(PLAIN):
            rclone.run(["copyto", str(file), f"skyrig:bench/plain-{number}.pt"], {"skyrig": remote}, what="upload")
        file.unlink()
        self._forget(f"plain-{number}.pt")

    def mounted(self, way: Way, state: State, number: int, still: Figures, whole: Figures) -> None:
        """torch.save to where the bucket is mounted."""
        import torch

        name = f"mounted-{number}.pt"
        begin = monotonic()
        torch.save(state, way.home / "bucket" / name)
        still.add(way.name, monotonic() - begin)
        self._node(way, {"op": "flush", "deadline_s": None})
        whole.add(way.name, monotonic() - begin)
        there = (self._folder / "data" / "bench" / name).stat().st_size
        assert there >= sum(tensor.nbytes for tensor in state.values()), f"{name} is not whole"
        self._forget(name)

    def managed(self, state: State, number: int, still: Figures, whole: Figures) -> None:
        """A save in the background, after one that makes room in memory."""
        from skyrig.checkpoint import CheckpointManager

        with CheckpointManager("s3://bench/managed", {"weights": dict(state)}, keep=1) as manager:
            manager.save(2 * number, wait=True)
            begin = monotonic()
            manager.save(2 * number + 1)
            still.add("CheckpointManager", monotonic() - begin)
            manager.wait()
            whole.add("CheckpointManager", monotonic() - begin)

    def _attach(self, way: Way) -> None:
        from attrs import asdict

        from skyrig.storage.mount import BucketMount

        own = way.home / ".skyrig" / "bin"
        own.mkdir(parents=True)
        (own / "rclone").symlink_to(self._rclone)
        mount = BucketMount("~/bucket", way.mode, "s3://bench", "bench", self._remote, "keys", dict(way.flags))
        self._node(way, {"op": "attach", "mounts": [asdict(mount)], "secrets": {"keys": self._keys}, "rclone": ""})

    @contextmanager
    def _mounted_by(self, rclone: str, place: Path) -> Iterator[None]:
        """The bucket mounted by another rclone, with the fusermount3 that ours has."""
        from skyrig.storage.remote import Remote

        place.mkdir(parents=True)
        env = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}  # 1.60 stumbles over it
        env |= Remote(self._remote, self._keys).environment()
        helper = self.ways[-1].home / ".skyrig" / "bin" / "fusermount3"
        (place.parent / "fusermount").write_text(f'#!/bin/sh\nexec {helper} "$@"\n')
        (place.parent / "fusermount").chmod(0o755)
        env["PATH"] = f"{place.parent}:{env['PATH']}" if helper.exists() else env["PATH"]
        words = [rclone, "mount", "skyrig:bench", str(place), "--config=", "--allow-other", "--vfs-cache-mode=off"]
        mounting = subprocess.Popen(words, env=env)
        try:
            deadline = monotonic() + _START_S
            while not place.is_mount():
                if mounting.poll() is not None or monotonic() > deadline:
                    raise SkyrigError(f"{rclone} does not mount")
                sleep(0.05)
            yield
        finally:
            mounting.terminate()
            mounting.wait()

    def _node(self, way: Way, given: dict[str, Any]) -> None:
        """Have the program that runs on nodes do something in the home of `way`, and succeed."""
        from skyrig.launch import nodeside

        command, stdin = nodeside.mounting(given)
        env = {**os.environ, "HOME": str(way.home)}
        done = subprocess.run(["/bin/sh", "-c", command], input=stdin, capture_output=True, env=env, check=False)
        said = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
        if done.returncode or said.get("problems"):
            raise SkyrigError(f"{given['op']}: {said.get('problems') or done.stderr.decode()[-300:]}")

    def _forget(self, name: str) -> None:
        """Make room."""
        (self._folder / "data" / "bench" / name).unlink()


@contextmanager
def _server(program: Path, folder: Path, keys: Mapping[str, str]) -> Iterator[int]:
    """versitygw on the folder `data`; its port."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    env = {**os.environ, "ROOT_ACCESS_KEY": keys["access_key_id"], "ROOT_SECRET_KEY": keys["secret_access_key"]}
    words = [str(program), "--port", f"127.0.0.1:{port}", "--quiet", "posix", str(folder / "data")]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(words, env=env, stdout=log, stderr=log)
    try:
        deadline = monotonic() + _START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if server.poll() is not None or monotonic() > deadline:
                    said = (folder / "server.log").read_text()[-300:]
                    raise SkyrigError(f"versitygw does not start: {said}") from None
                sleep(0.05)
        yield port
    finally:
        server.kill()
        server.wait()


@contextmanager
def _far(port: int) -> Iterator[int]:
    """A way to `port` that is as long as ROUND_TRIP_MS; its port."""
    words = [sys.executable, "-m", "bench.delay", str(port), str(ROUND_TRIP_MS)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as proxy:
        try:
            assert proxy.stdout is not None
            yield int(proxy.stdout.readline())
        finally:
            proxy.kill()
