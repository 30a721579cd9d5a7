"""A real S3 server; buckets of it, each with a home whose ~/tigris is the bucket's folder; the example run on one."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config
from user import until

from skyrig.storage.programs import versitygw

EXAMPLE = Path(__file__).parents[2] / "examples" / "lora-pipeline"
ACCESS, SECRET = "lora-access", "lora-secret"
TASK: dict[str, Any] = yaml.safe_load((EXAMPLE / "allatonce.yaml").read_text())


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A server whose buckets are the folders in `folder`; its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    env = {**os.environ, "ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET}
    command = [str(versitygw()), "--port", f"127.0.0.1:{port}", "--quiet", "posix", str(folder)]
    with (
        (folder.parent / "server.log").open("wb") as log,
        subprocess.Popen(command, env=env, stdout=log, stderr=log) as process,
    ):
        try:
            until(lambda: answers(port), "the server answers")
            assert process.poll() is None
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def answers(port: int) -> bool:
    """Does anyone listen there?"""
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


class Bucket:
    """A bucket of the server, and the environment that the example has with it."""

    def __init__(self, root: Path, url: str, name: str, **env: str) -> None:
        self.name = name
        self.folder = root / "data" / name
        self.client: Any = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id=ACCESS, aws_secret_access_key=SECRET, region_name="us-east-1",
            config=Config(proxies={}),
        )  # fmt: skip
        self.client.create_bucket(Bucket=name)
        home = root / "homes" / name
        home.mkdir(parents=True)
        (home / "tigris").symlink_to(self.folder)
        self.env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home), "OMP_NUM_THREADS": "1",
            "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL_S3": url,
            "BUCKET_NAME": name, "DATASET_NAME": "synthetic/120x200", "MODEL_NAME": "synthetic/tiny",
            "SHARD_SIZE": "40", "HF_HUB_OFFLINE": "1",
            "PYTHONHASHSEED": "0",  # adapter_config.json has a set in it, in whatever order
            **env,
        }  # fmt: skip

    def start(self, *command: str, **env: str) -> subprocess.Popen[str]:
        """Start a command in the example's folder, as leader of a group."""
        return subprocess.Popen(
            command, cwd=EXAMPLE, env={**self.env, **env}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command: str, check: int = 0, **env: str) -> str:
        """Run a command to its end; what it said."""
        process = self.start(*command, **env)
        said = process.communicate(timeout=180)[0]
        assert process.returncode == check, said
        return said

    def script(self, name: str, check: int = 0, **env: str) -> str:
        """Run one of the example's scripts; what it said."""
        return self.run("python3", name, check=check, **env)

    def killed_at(self, objects: int, *command: str) -> None:
        """Start a command, and kill it with all that it started when the bucket has so many objects."""
        process = self.start(*command)
        deadline = time.monotonic() + 120
        try:
            while len(self.files()) < objects and process.poll() is None:
                assert time.monotonic() < deadline, f"the bucket never has {objects} objects"
                time.sleep(0.002)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            said = process.communicate()[0]
        assert process.returncode == -signal.SIGKILL, said

    def listing(self) -> dict[str, tuple[Any, ...]]:
        """ETag, time and size of each object by its key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        rows = [row for page in pages for row in page.get("Contents", [])]
        return {row["Key"]: (row["ETag"], row["LastModified"], row["Size"], self._changed(row["Key"])) for row in rows}

    def _changed(self, key: str) -> int:
        return (self.folder / key).stat().st_mtime_ns

    def files(self) -> list[Path]:
        """The objects' files."""
        return [Path(folder, name) for folder, _, names in os.walk(self.folder) for name in names]

    def contents(self) -> dict[str, str]:
        """SHA-256 of each object by its key."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in self.files()
        }
