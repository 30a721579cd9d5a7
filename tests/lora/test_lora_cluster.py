"""The whole example as its README runs it, on a local cluster whose nodes mount the bucket; twice."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from lora_bucket import ACCESS, SECRET
from user import User, end_nodes

NEEDED = ("torch", "transformers", "datasets", "peft")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason=f"one of {', '.join(NEEDED)} is not installed"),
]

ENV = """\
AWS_ACCESS_KEY_ID={access}
AWS_SECRET_ACCESS_KEY={secret}
AWS_ENDPOINT_URL_S3={url}
AWS_REGION=us-east-1
BUCKET_NAME=on-nodes
DATASET_NAME=synthetic/40x100
MODEL_NAME=synthetic/tiny
SHARD_SIZE=20
"""


def test_the_second_run_changes_nothing_in_the_bucket(place, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    bucket = place.bucket("on-nodes")
    person = User(tmp_path / "user", "lora")
    url = place.url.replace("127.0.0.1", "host.skyrig.internal")
    (person.clone / ".env").write_text(ENV.format(access=ACCESS, secret=SECRET, url=url))
    folder = "examples/lora-pipeline"
    words = ("launch", f"{folder}/allatonce.yaml", "-c", "lora", "-n", "test", "--env-file", ".env")
    try:
        first = person.run(*words, "--workdir", folder, "--infra", "local", "-y", timeout=240)
        assert SECRET not in first.told()
        made = bucket.listing()
        assert any(key.startswith("done/synthetic/tiny/synthetic/40x100/fused/") for key in made), first.told()
        person.run(*words, "--workdir", folder, "--infra", "local", "-y", timeout=240)
        assert bucket.listing() == made
    finally:
        end_nodes(person.home)
