"""Bucket urls, and what rclone is told to reach them: cases as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyrig.errors import BadInput
from skyrig.storage import endpoint, remote, url

CASES = [
    pytest.param(case, id=case["name"])
    for case in json.loads((Path(__file__).parent / "cases" / "remotes.json").read_text())
]


@pytest.mark.parametrize("case", CASES)
def test_what_rclone_is_told(case: dict[str, Any]) -> None:
    bucket = url.read(case["url"])
    assert str(bucket) == case.get("normal", case["url"])
    where = {"cloud": case.get("cloud", ""), "region": case.get("region", "")}
    if "error" in case:
        with pytest.raises(BadInput) as caught:
            remote.of(bucket, case.get("given", {}), case.get("around", {}), **where)
        assert f"{caught.value.message} ({caught.value.hint})" == case["error"]
        return
    found = remote.of(bucket, case.get("given", {}), case.get("around", {}), **where)
    assert found.options == case["options"]
    assert found.secrets == case.get("secrets", {})
    assert not any(value in repr(found) for value in found.secrets.values() if len(value) > 2)


@pytest.mark.parametrize(
    "text", ["", "s3://", "s3:///key", "s3://a", "ftp://bucket", "https://example.com/bucket", "bucket", "cos://us-south",
             "https://account.blob.core.windows.net/", "https://a.blob.core.windows.net/c?sig=x"],
)  # fmt: skip
def test_what_is_no_bucket(text: str) -> None:
    with pytest.raises(BadInput, match="names no bucket"):
        url.read(text)


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{1,20}", fullmatch=True), st.text("abc/._-", max_size=12))
def test_a_url_survives(name: str, key: str) -> None:
    read = url.read(f"s3://{name}/{key}")
    assert url.read(str(read)) == read
    assert read.key == key.strip("/")


def test_this_machine_is_another_one_for_nodes_with_a_network_of_their_own() -> None:
    there = endpoint.for_nodes("http://127.0.0.1:7070", "namespaces")
    assert there == "http://host.skyrig.internal:7070"
    assert endpoint.for_here(there) == "http://127.0.0.1:7070"
    assert endpoint.for_nodes("http://127.0.0.1:7070", "plain") == "http://127.0.0.1:7070"
    assert endpoint.for_nodes("https://s3.example.com", "namespaces") == "https://s3.example.com"
