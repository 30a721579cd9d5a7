"""Data stacks with the real engine and the real server: what is made, what stays, what is refused."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from bucket_user import Rclone

from skyrig import bringing, places, provision
from skyrig.cluster.buckets import Bucket
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, EngineError
from skyrig.fleet.local.files import locked, wait_for
from skyrig.stack import backend, config, datastacks, described, engine, lock, stacks
from skyrig.storage.local import server

pytestmark = pytest.mark.e2e


def silent(line: str) -> None:
    """Nobody reads it."""


def killed(stack: str) -> None:
    """Kill the server of a stack, as a reboot does."""
    folder = places.storage(stack)
    os.kill(server.check(folder)["pid"], signal.SIGKILL)
    assert wait_for(lambda: None if locked(folder / "alive.lock") else True)


def keys(bucket: datastacks.MadeBucket) -> server.Keys:
    """The keys to a bucket's server."""
    return server.Keys(**bucket.keys)


@pytest.mark.soak
def test_a_bucket_is_made_found_kept_and_deleted(project: Path, rclone: Rclone) -> None:
    told: list[str] = []
    stack = datastacks.of("mine")
    (made,) = datastacks.make(stack, [Bucket("my-data")], told.append)
    assert (made.url, made.stack, made.persistent, made.keys["access_key_id"]) == (
        "s3://my-data", "mine-data", True, "skyrig-mine-data",
    )  # fmt: skip
    assert any("bucket my-data (local) is made in stack mine-data" in line for line in told)
    assert stacks.known() == [] and stacks.everything() == ["mine-data"], "it is no cluster"
    rclone(made.endpoint, keys(made), "rcat", "remote:my-data/x", input="x")

    secret = made.keys["secret_access_key"].encode()
    cached = places.stack(stack) / "buckets.json"
    holding = [file for file in places.home().rglob("*") if file.is_file() and secret in file.read_bytes()]
    assert holding == [cached] and cached.stat().st_mode & 0o777 == 0o600
    assert secret not in b"".join(file.read_bytes() for file in project.rglob("*") if file.is_file())

    told.clear()
    assert datastacks.make(stack, [Bucket("my-data")], told.append) == [made] and told == [], "no engine run"
    assert datastacks.make(datastacks.of("other"), [Bucket("my-data")], silent) == [made], "found, not made twice"
    assert stacks.everything() == ["mine-data"]

    killed(stack)
    assert datastacks.find("my-data") == made, "known, though nobody serves it"
    (again,) = datastacks.serving(stack)
    assert again == made and rclone(again.endpoint, keys(again), "cat", "remote:my-data/x") == "x"

    with lock.held(stack, silent) as at_work, pytest.raises(EngineError, match="protected"):
        engine.change(["destroy", "--skip-preview"], stack=stack, at_work=at_work, on_event=lambda event: None)
    assert (Path(made.folder) / "x").exists()

    killed(stack)  # by that destroy the server may be gone, or not: `up` makes it whole
    stacks.up(stack, config.read_shape(stack), silent)
    assert rclone(datastacks.buckets(stack)[0].endpoint, keys(made), "cat", "remote:my-data/x") == "x"

    for refused in (
        lambda: stacks.down(stack, silent),
        lambda: stacks.up(stack, Shape(), silent),
        lambda: bringing.up(stack, silent),
        lambda: provision.down(stack, silent),
    ):
        with pytest.raises(BadInput, match="holds buckets and is no cluster"):
            refused()

    datastacks.drop(stack, "my-data", silent)
    assert not places.storage(stack).exists()
    assert datastacks.all_known() == [] and stacks.known() == []
    assert not backend.has_anything(stack) or not stacks.has_buckets(stack)


def test_a_clusters_own_bucket_goes_with_it(project: Path) -> None:
    bucket = Bucket("scratch-data", persistent=False)
    shape = Shape(nodes=Shape().nodes[:1], isolation="plain", buckets=(bucket,))
    stacks.up("small", shape, silent)
    try:
        (made,) = datastacks.buckets("small")
        assert made.stack == "small" and Path(made.folder).is_dir()
        (Path(made.folder) / "x").write_text("x")
        assert stacks.known() == ["small"] and described.describe("small") is not None
        assert datastacks.find("scratch-data", "local") == made
        with pytest.raises(BadInput, match="is a cluster"):
            datastacks.make("small", [Bucket("another-one")], silent)
    finally:
        stacks.down("small", silent)
    assert not places.storage("small").exists() and datastacks.all_known() == []


def test_a_wrong_name_is_one_line_and_nothing_is_made(project: Path) -> None:
    with pytest.raises(BadInput, match="no name of a bucket on local"):
        datastacks.make("mine-data", [Bucket("My_Data")], silent)
    file = project / "stacks" / "Pulumi.mine-data.yaml"
    file.write_text("config:\n  skyrig:nodes: []\n  skyrig:buckets:\n  - {name: My_Data}\n")
    with pytest.raises(BadInput, match=f"{file.name}:3:.*My_Data"):
        stacks.up("mine-data", None, silent)
    assert stacks.everything() == [] and json.loads(engine.query(["stack", "ls", "--json"])) == []
