"""The buckets that task files want: cases as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from skyrig.errors import BadInput
from skyrig.storage import wanted
from skyrig.storage.wanted import WantedBucket
from skyrig.task import reading

CASES = [
    pytest.param(case, id=case["name"])
    for case in YAML(typ="safe").load((Path(__file__).parent / "cases" / "wanted.yaml").read_text())
]


def told(bucket: WantedBucket) -> dict[str, Any]:
    """What a case says of a bucket: what is no default."""
    full = {
        "target": bucket.target,
        "mode": bucket.mode,
        "url": str(bucket.url) if bucket.url else "",
        "name": bucket.name,
        "store": bucket.store,
        "options": dict(bucket.options),
    }
    return {name: value for name, value in full.items() if value} | ({} if bucket.persistent else {"persistent": False})


@pytest.mark.parametrize("case", CASES)
def test_what_a_task_wants(case: dict[str, Any]) -> None:
    task = reading.of_plain({"name": "my-task", "run": "true", "file_mounts": case["mounts"]}, "case").only()
    if "error" in case:
        with pytest.raises(BadInput) as caught:
            wanted.of(task.mounts, task.name or "")
        assert f"{caught.value.message} ({caught.value.hint})" == case["error"]
    else:
        assert [told(bucket) for bucket in wanted.of(task.mounts, task.name or "")] == case["wanted"]
