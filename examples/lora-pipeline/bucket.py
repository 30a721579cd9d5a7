"""The bucket: what the steps keep there, and how they tell that it is whole.

Shards go by s3://, one at a time; models go through the folder that the bucket is mounted at (~/tigris). A folder of
the bucket is whole when its `done.json` is there, which is written last, by s3://, when the bucket has all else.
"""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import fsspec
from datasets import Dataset, disable_progress_bars, load_from_disk
from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow.fs import S3FileSystem

MOUNT = Path.home() / "tigris"
SENTINEL = "done.json"
PATIENCE_S = 300
"""Seconds without anything new that files written to the mount may need to be in the bucket."""


def setting(name: str) -> str:
    """The environment's NAME; ends the program with one line where it is missing."""
    value = os.environ.get(name, "")
    if not value:
        raise SystemExit(f"{name} is not set: copy .env.example to .env and fill it in")
    return value


class S3(ArrowFSWrapper):
    """s3:// of fsspec, by pyarrow's client: a part of an object at a time is in memory, and none is sent behind it."""

    protocol = "s3"

    def __init__(self, **kwargs: Any) -> None:
        endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "")
        proxy = getproxies().get(endpoint.scheme or "https")
        if proxy and endpoint.hostname and proxy_bypass(endpoint.hostname):
            proxy = None
        client = S3FileSystem(
            access_key=setting("AWS_ACCESS_KEY_ID"),
            secret_key=setting("AWS_SECRET_ACCESS_KEY"),
            session_token=os.environ.get("AWS_SESSION_TOKEN"),
            region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
            scheme=endpoint.scheme or "https",
            endpoint_override=endpoint.netloc or None,
            proxy_options=proxy,
            background_writes=False,
        )
        super().__init__(client, **kwargs)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing: a bucket has no folders, and an object for each would be in the way."""

    mkdir = makedirs


fsspec.register_implementation("s3", S3, clobber=True)
disable_progress_bars()  # in a job's log they are a line of a thousand pieces


class Bucket:
    """One bucket, by the names that its folders have in this pipeline."""

    def __init__(self) -> None:
        self.name = setting("BUCKET_NAME")
        self.fs = S3()
        try:
            self.fs.ls(self.name)
        except OSError as refused:
            raise SystemExit(f"bucket {self.name} cannot be read: {refused}") from None

    def url(self, folder: str) -> str:
        """Where `folder` is."""
        return f"s3://{self.name}/{folder}"

    def mount(self) -> Path:
        """The folder that the bucket is mounted at; ends the program with one line where there is none."""
        if not MOUNT.is_dir():
            raise SystemExit(f"{MOUNT} is not there: mount the bucket {self.name} at it")
        return MOUNT

    def facts(self, folder: str, name: str = SENTINEL) -> dict[str, Any] | None:
        """What was noted with `folder` when it was whole; None while it is not."""
        try:
            found: dict[str, Any] = json.loads(self.fs.cat_file(f"{self.name}/{folder}/{name}"))
        except FileNotFoundError:
            return None
        return found

    def note(self, folder: str, facts: dict[str, Any], name: str = SENTINEL) -> None:
        """Note that `folder` is whole: the last thing that is written of it."""
        self.fs.pipe_file(f"{self.name}/{folder}/{name}", (json.dumps(facts) + "\n").encode())

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of each object under `folder`, by its path in there."""
        root = f"{self.name}/{folder}/"
        try:
            found = self.fs.find(root, detail=True)
        except FileNotFoundError:
            return {}
        return {path.removeprefix(root): info["size"] for path, info in found.items() if info["type"] == "file"}

    def remove(self, folder: str) -> None:
        """Remove what is there of `folder`, its sentinel first."""
        path = f"{self.name}/{folder}"
        names = [f"{path}/{name}" for name in self.sizes(folder)]
        for name in sorted(names, key=lambda name: not name.endswith(f"/{SENTINEL}")):
            self.fs.rm_file(name)
        if names:  # pyarrow marks the folder of what it removes, so that there still is one
            for left in sorted({path, *(name.rpartition("/")[0] for name in names)}, reverse=True):
                self.fs.fs.delete_dir(left)

    def save(self, shard: Dataset, folder: str) -> None:
        """Save a shard, written anew where a run that was ended left a part of it."""
        self.remove(folder)
        fingerprint = folder.replace("/", "-")  # which is random otherwise, and in the bucket
        Dataset(shard.data, info=shard.info, fingerprint=fingerprint).save_to_disk(self.url(folder))
        self.note(folder, {"examples": len(shard)})

    def load(self, folder: str, scratch: Path) -> Dataset:
        """A shard, on the local disk below `scratch` and mapped from there; whoever made `scratch` removes it."""
        local = scratch / folder.replace("/", "-")
        for name in self.sizes(folder):
            (local / name).parent.mkdir(parents=True, exist_ok=True)
            self.fs.get_file(f"{self.name}/{folder}/{name}", str(local / name))
        return load_from_disk(str(local))

    def publish(self, source: Path, folder: str) -> None:
        """Copy the files in `source` to `folder` through the mount, and note it when the bucket has them."""
        target = self.mount() / folder
        self.remove(folder)
        shutil.rmtree(target, ignore_errors=True)
        files = [path for path in source.rglob("*") if path.is_file()]
        wanted = {path.relative_to(source).as_posix(): path.stat().st_size for path in files}
        for name in sorted(wanted, key=lambda name: wanted[name]):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
        self._wait_for(folder, wanted)
        self.note(folder, {"files": wanted})

    def _wait_for(self, folder: str, wanted: dict[str, int]) -> None:
        missing, since = set(wanted), time.monotonic()
        while missing:
            sizes = self.sizes(folder)
            still = {name for name, size in wanted.items() if sizes.get(name) != size}
            if len(still) < len(missing):
                since = time.monotonic()
            missing = still
            if missing and time.monotonic() - since > PATIENCE_S:
                raise SystemExit(
                    f"{MOUNT / folder} is not all in {self.url(folder)}: is the bucket mounted at {MOUNT}?"
                )
            time.sleep(0.5 if missing else 0)
