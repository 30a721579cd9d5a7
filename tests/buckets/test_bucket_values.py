"""Wanted buckets as values: the rules of names, the config, and the programs for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skyrig.cluster import shape as shapes
from skyrig.cluster.buckets import Bucket, check_name, read
from skyrig.cluster.shape import Shape, WantedNode
from skyrig.errors import BadInput, SkyrigError
from skyrig.stack import guard
from skyrig.storage import programs

GOOD = [
    ("local", "abc"), ("s3", "my-data.v2"), ("s3", "0" * 63), ("gcs", "with_underscore"), ("azure", "a-b-c"),
]  # fmt: skip
BAD = [
    ("s3", "ab", "2 characters"),
    ("s3", "a" * 64, "64 characters"),
    ("s3", "My-Data", "character"),
    ("s3", "with_underscore", "character"),
    ("s3", "-begins", "character"),
    ("s3", "a..b", "side by side"),
    ("s3", "a.-b", "side by side"),
    ("s3", "192.168.0.1", "IP address"),
    ("s3", "xn--data", "AWS keeps"),
    ("s3", "data-s3alias", "AWS keeps"),
    ("gcs", "my-google-data", "Google keeps"),
    ("azure", "a.b", "has one"),
    ("azure", "a--b", "has one"),
    ("local", "../../etc", "character"),
]


@pytest.mark.parametrize(("store", "name"), GOOD)
def test_names_that_a_store_takes(store: str, name: str) -> None:
    assert check_name(store, name) == name


@pytest.mark.parametrize(("store", "name", "why"), BAD)
def test_names_that_a_store_refuses(store: str, name: str, why: str) -> None:
    with pytest.raises(BadInput, match=why) as refused:
        check_name(store, name)
    assert refused.value.exit_code == 2 and "a name has" in str(refused.value)


def test_config_and_back() -> None:
    wanted = (
        Bucket("one-data"),
        Bucket("two-data", "s3", "us-east-1", persistent=False, account="123456789012"),
        Bucket("three-data", "gcs", "europe-west4", account="project"),
    )
    shape = Shape(nodes=(), buckets=wanted)
    config = shape.to_config()
    assert config["buckets"][0] == {"name": "one-data", "store": "local"}
    assert shapes.from_config(config) == shape
    as_the_engine_says = {key: json.dumps(value) for key, value in config.items() if key in ("nodes", "buckets")}
    assert shapes.from_config({**config, **as_the_engine_says}) == shape
    assert (shape.is_data, str(shape), Shape().is_data) == (True, "3 buckets", False)


WRONG: dict[str, Any] = {
    "no list": "my-data",
    "no mapping": ["my-data"],
    "no name": [{"store": "local"}],
    "did you mean skyrig:region": [{"name": "abc", "regoin": "x"}],
    "did you mean 's3'": [{"name": "abc", "store": "s33"}],
    "a region is wanted": [{"name": "abc", "store": "s3"}],
    "a project is wanted": [{"name": "abc", "store": "gcs", "region": "x"}],
    "persistent is true or false": [{"name": "abc", "persistent": "perhaps"}],
    "stands there twice": [{"name": "abc"}, {"name": "abc"}],
}


@pytest.mark.parametrize("why", WRONG)
def test_wrong_entries_are_named(why: str) -> None:
    with pytest.raises(BadInput, match=None if why.startswith("no ") else why):
        read(WRONG[why])


def test_what_fits_nobody_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one node id"):
        shapes.from_config({"nodes": []})
    assert shapes.from_config({"nodes": [], "power": "down"}).is_data, "a data stack whose last bucket was deleted"
    with pytest.raises(BadInput, match="takes its buckets with it"):
        Shape(nodes=(WantedNode("n0"),), buckets=(Bucket("abc"),))


def test_a_bucket_of_another_account_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Theirs:
        def account(self, region: str) -> str:
            return "999999999999"

    monkeypatch.setattr(guard.clouds, "of", lambda name: Theirs())
    with pytest.raises(guard.WrongAccount, match="the aws account 123456789012, the credentials here to 9"):
        guard.check("x-data", Shape(nodes=(), buckets=(Bucket("abc", "s3", "us-east-1", account="123456789012"),)))
    guard.check("x-data", Shape(nodes=(), buckets=(Bucket("abc", "s3", "us-east-1", account="999999999999"),)))


def test_there_is_no_rclone_for_unknown_machines() -> None:
    with pytest.raises(SkyrigError, match="riscv64"):
        programs.rclone_for("riscv64")


def test_the_answer_is_asked_for_once(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path / "cache"))
    bin = tmp_path / "bin"
    bin.mkdir()

    def put(version: str) -> None:
        (bin / "rclone").write_text(f"#!/bin/sh\necho 'rclone v{version}'\necho >>{tmp_path}/asked\n")
        (bin / "rclone").chmod(0o755)

    put("1.70.0")
    monkeypatch.setenv("PATH", f"{bin}:/usr/bin:/bin")
    assert [programs.rclone(), programs.rclone()] == [bin / "rclone"] * 2
    assert (tmp_path / "asked").read_text() == "\n"
    put("1.170.0")
    assert programs.rclone() == bin / "rclone"
    assert (tmp_path / "asked").read_text() == "\n\n", "another program there is asked anew"
