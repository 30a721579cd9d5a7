"""The pipeline against a real S3 server: what it makes, again without any change, and after kills the same."""

from __future__ import annotations

import json
import random
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from lora_bucket import EXAMPLE, TASK, Bucket
from user import until

NEEDED = ("torch", "transformers", "datasets", "peft")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason=f"one of {', '.join(NEEDED)} is not installed"),
]

SCRIPTS = ("import-dataset.py", "import-model.py", "pretokenize.py", "dotrain.py")
DATA, MODEL = "synthetic/120x200", "synthetic/tiny"
DONE = f"done/{MODEL}/{DATA}"
PUBLISH = """
import sys
from pathlib import Path
from bucket import Bucket

Bucket().publish(Path(sys.argv[1]), "models/late")
"""
LIBRARIES, ROOM = 220 << 20, 80 << 20
"""Bytes of data that the libraries alone take, and that an import may have beside."""


def rows(bucket: Bucket, folder: str) -> Any:
    """A shard, read as anybody would."""
    from datasets import load_from_disk

    return load_from_disk(str(bucket.folder / folder))


def facts(bucket: Bucket, key: str) -> dict[str, Any]:
    """What a JSON file of the bucket says."""
    found: dict[str, Any] = json.loads((bucket.folder / key).read_text())
    return found


@pytest.mark.soak
def test_every_step_leaves_its_shards_and_the_model(trained: Bucket) -> None:
    keys = trained.listing()
    for stage in ("raw", "standardized", f"model-ready/{MODEL}"):
        assert {key.removeprefix(f"{stage}/{DATA}/").split("/")[0] for key in keys if key.startswith(stage)} >= {
            "0",
            "1",
            "2",
        }
        assert [len(rows(trained, f"{stage}/{DATA}/{number}")) for number in range(3)] == [40, 40, 40]
    assert facts(trained, f"raw/{DATA}/info.json") == {"count": 2, "examples": 120}
    assert facts(trained, f"model-ready/{MODEL}/{DATA}/info.json")["count"] == 2
    raw = rows(trained, f"raw/{DATA}/1")[7]["conversations"]
    standard = rows(trained, f"standardized/{DATA}/1")[7]["conversations"]
    assert [turn["from"] for turn in raw] == ["system", "human", "gpt"]
    assert [turn["role"] for turn in standard] == ["system", "user", "assistant"]
    assert [turn["value"] for turn in raw] == [turn["content"] for turn in standard]
    chewed = rows(trained, f"model-ready/{MODEL}/{DATA}/1")[7]
    assert f"<|im_start|>user\n{raw[1]['value']}<|im_end|>\n" in chewed["text"]
    assert len(chewed["input_ids"]) < len(chewed["text"])
    for folder, file in (
        (f"models/{MODEL}", "model"),
        (f"{DONE}/lora_model", "adapter_model"),
        (f"{DONE}/fused", "model"),
    ):
        assert f"{folder}/{file}.safetensors" in keys
    assert not any("/shards/" in key for key in keys)


@pytest.mark.soak
def test_again_nothing_changes(trained: Bucket) -> None:
    before = trained.listing()
    for script in SCRIPTS:
        assert "already" in trained.script(script)
    assert trained.listing() == before


@pytest.mark.soak
def test_the_fused_model_is_the_base_with_the_adapter_and_knows_the_data_better(trained: Bucket) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def load(folder: str) -> Any:
        return AutoModelForCausalLM.from_pretrained(trained.folder / folder, dtype=torch.float32).eval()

    def loss(model: Any) -> float:
        with torch.no_grad():
            return sum(float(model(tokens, labels=tokens).loss) for tokens in texts)

    texts = [
        torch.tensor([row["input_ids"]]) for row in rows(trained, f"model-ready/{MODEL}/{DATA}/0").select(range(8))
    ]
    base, fused = load(f"models/{MODEL}"), load(f"{DONE}/fused")
    untrained = loss(base)
    adapted = PeftModel.from_pretrained(base, trained.folder / DONE / "lora_model").merge_and_unload()
    for name, weight in adapted.state_dict().items():
        assert torch.equal(weight.to(torch.bfloat16), fused.state_dict()[name].to(torch.bfloat16)), name
    assert loss(fused) < untrained - 0.1
    tokenizer = AutoTokenizer.from_pretrained(trained.folder / DONE / "fused")
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True, return_tensors="pt"
    )
    assert fused.generate(**asked, max_new_tokens=3, do_sample=False).shape[1] == asked["input_ids"].shape[1] + 3


@pytest.mark.soak
def test_killed_anywhere_and_run_again_the_bucket_is_the_same(trained: Bucket, place: Any) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    bucket = place.bucket("killed")
    points = [chance.randint(1, 43), chance.randint(46, 70)]  # of 44 objects before the training, and 31 of it
    for point in points:
        bucket.killed_at(point, "bash", "-c", TASK["run"])
    bucket.run("bash", "-c", TASK["run"])
    assert bucket.contents() == trained.contents(), (seed, points)


@pytest.mark.soak
def test_a_failed_import_fails_the_run_before_anything_else(place: Any) -> None:
    bucket = place.bucket("failing")
    said = bucket.run("bash", "-c", TASK["run"], check=1, MODEL_NAME="synthetic/huge")
    assert "MODEL_NAME synthetic/huge: of these there is synthetic/tiny alone" in said
    assert "import-dataset.py ended with 0, import-model.py with 1" in said
    assert not [key for key in bucket.listing() if not key.startswith(("raw/", "standardized/"))]
    assert "run import-dataset.py and import-model.py first" in bucket.script("pretokenize.py", check=1)
    assert "run pretokenize.py first" in bucket.script("dotrain.py", check=1)


def test_what_is_wrong_is_said_in_a_line(place: Any) -> None:
    bucket = place.bucket("wrong")
    for env, line in (
        ({"BUCKET_NAME": "no-such"}, "bucket no-such cannot be read"),
        ({"AWS_SECRET_ACCESS_KEY": "x"}, "SIGNATURE_DOES_NOT_MATCH"),
        ({"DATASET_NAME": "synthetic/many"}, "synthetic/COUNTxBYTES is wanted"),
        ({"DATASET_NAME": ""}, "DATASET_NAME is not set: copy .env.example to .env"),
    ):
        said = bucket.script("import-dataset.py", check=1, **env)
        assert line in said and len(said.splitlines()) == 1, said


def test_what_a_mount_sends_later_counts_when_the_bucket_has_it(place: Any, tmp_path: Path) -> None:
    bucket = place.bucket("late")
    mount = Path(bucket.env["HOME"]) / "tigris"
    mount.unlink()
    (tmp_path / "config.json").write_text("{}")
    command = ("python3", "-c", PUBLISH, str(tmp_path))
    assert bucket.run(*command, check=1) == f"{mount} is not there: mount the bucket late at it\n"
    mount.mkdir()
    process = bucket.start(*command)
    written = until(lambda: list(mount.rglob("config.json")) or process.poll() is not None, "it is in the mount")
    assert bucket.listing() == {} and process.poll() is None
    bucket.client.upload_file(str(written[0]), bucket.name, "models/late/config.json")
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    assert facts(bucket, "models/late/done.json") == {"files": {"config.json": 2}}


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_shard_larger_than_memory_is_imported(place: Any) -> None:
    # The usual pool has a gigabyte of addresses from the start, which would count.
    bucket = place.bucket(
        "large", DATASET_NAME="synthetic/8000x32000", SHARD_SIZE="", ARROW_DEFAULT_MEMORY_POOL="system"
    )
    limited = f"ulimit -d {(LIBRARIES + ROOM) >> 10}; exec python3 import-dataset.py"
    bucket.run("bash", "-c", limited)
    total = sum(row[2] for key, row in bucket.listing().items() if key.startswith("raw/"))
    assert total > 3 * ROOM
    assert len(rows(bucket, "standardized/synthetic/8000x32000/0")) == 8000
    shutil.rmtree(bucket.folder / "raw")
    shutil.rmtree(bucket.folder / "standardized")


def test_a_data_set_with_other_columns_comes_by_load_dataset(place: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(EXAMPLE, tmp_path / "example")
    (copy / "my" / "chats").mkdir(parents=True)
    lines = [
        {"source": "x", "messages": [{"role": "user", "content": f"say {n}"}, {"role": "assistant", "content": f"{n}"}]}
        for n in range(50)
    ]
    (copy / "my" / "chats" / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    bucket = place.bucket("mine", DATASET_NAME="my/chats", SHARD_SIZE="30")
    bucket.run("bash", "-c", f"cd {copy} && exec python3 import-dataset.py")
    assert [len(rows(bucket, f"raw/my/chats/{number}")) for number in (0, 1)] == [30, 20]
    assert rows(bucket, "raw/my/chats/1")[0]["source"] == "x"
    assert rows(bucket, "standardized/my/chats/1")[19] == {"conversations": lines[49]["messages"]}
