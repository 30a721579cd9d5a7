"""The component of the data stack: what it registers for buckets on all four stores, and what it exports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import pulumi
import pytest
from registrations import Registration, golden, record

from components.data import Data, DataArgs

FILE = Path(__file__).parent / "golden" / "data.json"

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
BUCKETS: list[Any] = [
    {"name": "here-data", "store": "local", "region": "", "persistent": True, "account": ""},
    {"name": "s3-data", "store": "s3", "region": "us-east-1", "persistent": True, "account": "123456789012"},
    {"name": "s3-scratch", "store": "s3", "region": "us-east-1", "persistent": False, "account": "123456789012"},
    {"name": "gcs-data", "store": "gcs", "region": "europe-west4", "persistent": True, "account": "project"},
    {"name": "azure-data", "store": "azure", "region": "westeurope", "persistent": True, "account": SUBSCRIPTION},
]
OUTPUTS = {
    "gcp:storage/bucket:Bucket": {"url": "gs://gcs-data"},
    "azure-native:storage:StorageAccount": {"primaryEndpoints": {"blob": "https://ACCOUNT.blob.core.windows.net/"}},
    "pulumi-python:dynamic/skyrig:LocalBucket": {"url": "s3://here-data", "folder": "FOLDER"},
    "pulumi-python:dynamic/skyrig:LocalStore": {"endpoint": "http://127.0.0.1:1", "folder": "F", "incarnation": "I"},
    "pulumi-python:dynamic/skyrig:LocalStoreKey": {"access_key_id": "skyrig-mine-data", "secret_access_key": "KEY"},
}


def made(buckets: list[Any]) -> tuple[list[Registration], Any]:
    """What is registered for these buckets, without the code of our own providers, and what is exported."""
    args: DataArgs = {"stack": "mine-data", "buckets": buckets, "owner": "ada"}

    def program() -> pulumi.Output[Any]:
        data = Data("mine-data", args)
        keys = pulumi.Output.from_input({}) if data.keys is None else data.keys
        return pulumi.Output.all(buckets=data.buckets, keys=keys)

    found, exported = record(program, outputs=OUTPUTS)
    plain = [{key: value for key, value in each.inputs.items() if key != "__provider"} for each in found]
    return [attrs.evolve(each, inputs=inputs) for each, inputs in zip(found, plain, strict=True)], exported


@pytest.fixture(scope="module")
def all_four() -> tuple[list[Registration], Any]:
    """Buckets on all four stores."""
    return made(BUCKETS)


def test_all_four_stores_as_in_the_golden_file(all_four: tuple[list[Registration], Any]) -> None:
    text = golden(all_four[0])
    if os.environ.get("SKYRIG_GOLDEN"):
        FILE.write_text(text)
    assert text == FILE.read_text()


def test_what_is_exported_says_where_each_one_is(all_four: tuple[list[Registration], Any]) -> None:
    exported = all_four[1]
    assert {each["name"]: (each["url"], each["endpoint"], each["folder"]) for each in exported["buckets"]} == {
        "here-data": ("s3://here-data", "http://127.0.0.1:1", "FOLDER"),
        "s3-data": ("s3://s3-data", "", ""),
        "s3-scratch": ("s3://s3-scratch", "", ""),
        "gcs-data": ("gs://gcs-data", "", ""),
        "azure-data": ("https://ACCOUNT.blob.core.windows.net/azure-data", "", ""),
    }
    for wanted, said in zip(BUCKETS, exported["buckets"], strict=True):
        assert {key: said[key] for key in wanted} == wanted
    assert exported["keys"] == {"access_key_id": "skyrig-mine-data", "secret_access_key": "KEY"}


def test_a_bucket_more_leaves_the_others_as_they_are(all_four: tuple[list[Registration], Any]) -> None:
    fewer, exported = made(BUCKETS[1:2])
    assert [each for each in fewer if each not in all_four[0]] == []
    assert exported["keys"] == {}, "nothing local, no server and no keys"


def test_bad_buckets_are_refused_by_property() -> None:
    wrong = [{**BUCKETS[0], "store": "tape"}, {**BUCKETS[1], "name": "No_Such"}]
    with pytest.raises(pulumi.InputPropertiesError, match=r"buckets\[0\].*'tape'.*buckets\[1\].*No_Such"):
        made(wrong)
