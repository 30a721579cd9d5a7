"""The training examples beyond their READMEs' blocks: they go on where they stopped, on several nodes, without some."""

from __future__ import annotations

import importlib.util
import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from example_cases import CASES
from test_examples import NO_WAY_OUT, copied
from user import User, end_nodes, until

NEEDED = ("accelerate", "datasets", "deepspeed", "fastapi", "openai", "torch", "transformers", "uvicorn", "wandb")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.soak,
    pytest.mark.skipif(not all(map(importlib.util.find_spec, NEEDED)), reason=f"one of {', '.join(NEEDED)} is missing"),
]
SECONDS = 900
STEP = re.compile(r"step (\d+)/\d+ loss (\S+) lr \S+$", re.MULTILINE)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[User]:
    """Somebody who has Skyrig and no way out to any hub."""
    person = User(tmp_path, "unused")
    person.env |= NO_WAY_OUT
    yield person
    end_nodes(person.home)


def example(name: str, person: User) -> Path:
    """The example in a folder of that person's."""
    return copied(next(case for case in CASES if case.name == name), person)


def skyrig(person: User, folder: Path, *words: str) -> str:
    """What a command says, run in `folder`; it has to end well."""
    done = subprocess.run(
        ["skyrig", *words],
        cwd=folder,
        env=person.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def losses(text: str) -> dict[int, float]:
    """Loss by step."""
    return {int(step): float(loss) for step, loss in STEP.findall(text)}


def test_glue_goes_on_from_the_bucket_on_one_node_by_torchrun_and_by_deepspeed(reader: User) -> None:
    folder = example("glue", reader)
    for file, cluster in (("glue.yaml", "one"), ("multi.yaml", "two"), ("deepspeed.yaml", "two")):
        first = skyrig(reader, folder, "launch", "-y", "-c", cluster, file, "--infra", "local")
        assert max(losses(first)) == 40 and "no checkpoint yet" in first
        assert re.search(r"accuracy (1\.000|0\.9\d\d), ", first), first
        ranks = 1 if cluster == "one" else 2
        assert all(f"rank {rank} of {ranks} is here" in first for rank in range(ranks))
        more = skyrig(reader, folder, "exec", cluster, file, "-e", "STEPS=60")
        assert "resuming after step 40" in more
        assert sorted(losses(more)) == [45, 50, 55, 60]
        assert losses(more)[60] < losses(first)[40] < losses(first)[5]


def test_a_preempted_question_answering_goes_on_in_the_same_run_of_wandb(reader: User) -> None:
    from wandb.proto import wandb_internal_pb2

    folder = example("bert-qa", reader)
    skyrig(reader, folder, "jobs", "launch", "-y", "-d", "-n", "bert-qa", "qa.yaml", "--infra", "local")

    def log() -> str:
        return reader.run("jobs.logs", "-j", "1", "--no-follow", check=None).out.decode(errors="replace")

    until(lambda: losses(log()).keys() & {70, 75, 80}, "it trains", SECONDS)
    skyrig(reader, folder, "local", "preempt", "n0", "-c", "bert-qa-1")

    def ended() -> bool:
        (row,) = reader.json("jobs.queue")["jobs"]
        return row["ended_at"] is not None

    until(ended, "the job ends", SECONDS)
    (row,) = reader.json("jobs.queue")["jobs"]
    text = log()
    assert (row["status"], row["recoveries"]) == ("SUCCEEDED", 1), text
    (task,) = set(re.findall(r"W&B run (\S+) \(offline\), attempt [12]$", text, re.MULTILINE))
    assert re.findall(r"W&B run \S+ \(offline\), attempt (\d)$", text, re.MULTILINE) == ["1", "2"]
    after = int(re.findall(r"resuming after step (\d+)", text)[-1])
    assert after >= 60 and losses(text).keys() >= set(range(after + 5, 201, 5))
    exact = re.search(r"exactly right (\S+), F1", text)
    assert exact and float(exact[1]) > 0.8

    (out,) = (reader.home / "storage").glob(f"*/data/skyrig-bert-qa/{task}")
    attempts = sorted((out / "wandb").glob(f"offline-run-*-{task}/run-{task}.wandb"))
    assert len(attempts) == 2
    seen = []
    for file in attempts:
        steps = set()
        for data in records(file.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            if record.HasField("run"):
                assert record.run.run_id == task
            for item in record.history.item:
                if "train/global_step" in (item.key, "/".join(item.nested_key)):
                    steps.add(json.loads(item.value_json))
        seen.append(steps)
    assert 5 in seen[0] and max(seen[0]) < 200
    assert min(seen[1]) == after + 5 and max(seen[1]) == 200


def records(data: bytes) -> Iterator[bytes]:
    """The records of a file of W&B's: LevelDB's log form behind a header of 7 bytes, which may end in the middle."""
    at, held = 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        if kind == 0 or at + 7 + size > len(data):
            return
        held += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield held
            held = b""


def test_what_chat_has_learnt_is_served(reader: User) -> None:
    folder = example("chat", reader)
    trained = skyrig(reader, folder, "launch", "-y", "-c", "chat-train", "train.yaml", "--infra", "local")
    assert losses(trained)[300] < 0.1
    skyrig(reader, folder, "serve", "up", "-y", "-n", "chat", "service.yaml", "--infra", "local")
    try:
        endpoint = skyrig(reader, folder, "serve", "status", "-n", "chat", "--endpoint").strip()
        for country, city in (("Peru", "Lima"), ("Austria", "Vienna"), ("Japan", "Tokyo")):
            words = [sys.executable, "ask.py", endpoint, f"What is the capital of {country}?"]
            asked = subprocess.run(
                words, cwd=folder, env=reader.env, capture_output=True, text=True, timeout=SECONDS, check=False
            )
            assert asked.stdout == f"The capital of {country} is {city}.\n", asked.stderr
    finally:
        skyrig(reader, folder, "serve", "down", "-y", "chat")


def test_chat_is_spread_over_two_processes_by_zero_3_and_goes_on(reader: User, tmp_path: Path) -> None:
    folder, out = example("chat", reader), tmp_path / "out"
    said = []
    for steps in ("20", "30"):
        words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
        words += [
            "--deepspeed",
            "zero3.json",
            "--out",
            str(out),
            "--batch",
            "8",
            "--save-every",
            "10",
            "--steps",
            steps,
        ]
        env = reader.env | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
    assert "no checkpoint yet" in said[0] and "resuming after step 20" in said[1]
    assert losses(said[1])[30] < losses(said[0])[2]
    shards = sorted(file.name for file in out.glob("checkpoint-30/global_step30/*optim_states.pt"))
    assert [re.search(r"rank_(\d)", name)[1] for name in shards] == ["0", "1"]  # type: ignore[index]
    from safetensors import safe_open

    with safe_open(str(out / "model" / "model.safetensors"), "pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    assert [64] in shapes and all(0 not in shape for shape in shapes), "the weights are whole, not a rank's share"
