"""A real S3 server, and a home folder in which buckets are attached the way the keeper has it done on a node."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skyrig.launch import nodeside
from skyrig.launch.mounting.mount import mounted
from skyrig.storage import programs
from skyrig.storage.remote import Remote

KEY, SECRET = "skyrigtest", "a-secret-that-nobody-may-see"
PATIENCE = 30.0


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait until `condition` holds; its answer."""
    deadline = time.monotonic() + patience
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {patience} s: {what}"
        time.sleep(0.02)
    return answer


class Store:
    """versitygw over a folder: a bucket is a folder in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve, on the same port each time; returns when it answers."""
        env = {**os.environ, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
        words = [str(programs.versitygw()), "--port", f"127.0.0.1:{self.port}", "--quiet", "posix", str(self.folder)]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(words, env=env, stdin=quiet, stdout=quiet, stderr=quiet)
        until(self.answers, "the S3 server")

    def answers(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End it at once, as a server that breaks does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    @contextmanager
    def gone(self) -> Iterator[None]:
        """It does not answer in the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def bucket(self, name: str) -> Path:
        """The folder of a bucket, made if need be."""
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name

    def mount(self, target: str, bucket: str, mode: str = "MOUNT", **more: Any) -> dict[str, Any]:
        """A BucketMount as plain data."""
        options = {"type": "s3", "provider": "Other", "endpoint": f"http://127.0.0.1:{self.port}", "env_auth": "false"}
        remote = dict(Remote(options).options)
        plan = {"target": target, "mode": mode, "bucket": f"s3://{bucket}", "path": bucket, "remote": remote}
        return {**plan, "secret": "own", "options": {}, "folder": "", **more}

    @property
    def secrets(self) -> dict[str, dict[str, str]]:
        """What `secret` of such a mount stands for."""
        return {"own": {"access_key_id": KEY, "secret_access_key": SECRET}}


class Home:
    """A node's home folder. `path` overrides what PATH is there; `shown` is all that the program said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "HOME": str(folder)}
        folder.mkdir(parents=True)
        self.shown: list[dict[str, Any]] = []

    def ask(self, op: str, within: Sequence[str] = (), **given: Any) -> dict[str, Any]:
        """Run the program as the keeper does; its last line."""
        command, stdin = nodeside.mounting({"op": op, **given})
        words = [*within, "/bin/sh", "-c", command]
        done = subprocess.run(words, input=stdin, env=self.env, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        self.shown = [json.loads(line) for line in done.stdout.splitlines()]
        assert self.shown[-1]["k"] == "done"
        return self.shown[-1]

    def attach(self, store: Store, *plans: dict[str, Any], within: Sequence[str] = ()) -> dict[str, str]:
        """Attach; problems by target."""
        given = {"mounts": plans, "secrets": store.secrets, "rclone": str(programs.rclone())}
        problems: dict[str, str] = self.ask("attach", within, **given)["problems"]
        return problems

    def attached(self, store: Store, *plans: dict[str, Any]) -> Path:
        """Attach what must come; the place of the first."""
        assert self.attach(store, *plans) == {}
        return self.place(plans[0])

    def place(self, plan: dict[str, Any]) -> Path:
        """Where a mount lies."""
        return Path(plan["target"].replace("~", str(self.folder), 1))

    def look(self) -> dict[str, dict[str, Any]]:
        """What is said of each mount, by target."""
        return {each["target"]: each for each in self.ask("look")["mounts"]}

    def kill(self, plan: dict[str, Any]) -> None:
        """SIGKILL to a mount's rclone."""
        os.kill(self.look()[plan["target"]]["pid"], signal.SIGKILL)

    def notes(self) -> list[str]:
        """Lines for the reader that the last program said."""
        return [each["text"] for each in self.shown if each["k"] == "note"]

    def close(self) -> None:
        """Leave nothing mounted, and nothing running."""
        self.ask("detach", targets=None, force=True)
        left = [place for place in mounted() if place.startswith(f"{self.folder}/")]
        assert not left

        def removed() -> bool:
            shutil.rmtree(self.folder, ignore_errors=True)  # a program that has just been ended may write once more
            return not self.folder.exists()

        until(removed, "nothing of the home is left")
