"""One server for these tests, and a bucket in which the whole pipeline has run once, as allatonce.yaml runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lora_bucket import TASK, Bucket, server


class Place:
    """Where buckets are made."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url

    def bucket(self, name: str, **env: str) -> Bucket:
        """A new one."""
        return Bucket(self.root, self.url, name, **env)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server of this module's own."""
    root = tmp_path_factory.mktemp("lora")
    (root / "data").mkdir()
    with server(root / "data") as url:
        yield Place(root, url)


@pytest.fixture(scope="module")
def trained(place: Place) -> Bucket:
    """A bucket in which the pipeline has run."""
    bucket = place.bucket("trained")
    bucket.run("bash", "-c", TASK["run"])
    return bucket
