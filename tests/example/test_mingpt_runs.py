"""The example under its real launchers: it learns, it goes on where it stopped, and it says how it ended."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ranks

from skyrig.launch.program import Script
from skyrig.launch.render import render_launch

EXAMPLE = Path(__file__).parents[2] / "examples" / "mingpt"
SMALL = ("--text", "200000", "--batch", "8", "--log-every", "10", "--save-every", "20")

pytestmark = pytest.mark.e2e


def train(folder: Path, strategy: str, *words: str) -> list[ranks.Rank]:
    """The example on two ranks, its checkpoints in `folder`/out."""
    folder.mkdir(exist_ok=True)
    place = folder / f"{strategy}-{time.monotonic_ns()}"
    place.mkdir()
    shutil.copytree(EXAMPLE, place / "workdir", ignore=shutil.ignore_patterns("__pycache__"))
    script = Script("train.py", (*SMALL, "--out", str(folder / "out"), *words))
    return ranks.run(render_launch(script, strategy), place)


def losses(log: str) -> dict[int, float]:
    """Loss by step, as printed."""
    return {int(step): float(loss) for step, loss in re.findall(r"^step (\d+)/\d+ loss (\S+) tokens/s \d+$", log, re.M)}


def alone(out: Path, *words: str) -> list[str]:
    """The command that runs the example without a launcher."""
    return [sys.executable, str(EXAMPLE / "train.py"), *SMALL, "--out", str(out), *words]


def test_one_run_goes_on_under_torchrun_accelerate_and_plain(tmp_path: Path) -> None:
    logs = []
    for strategy, steps in (("torchrun", 40), ("accelerate", 60), ("plain", 80)):
        first, second = train(tmp_path, strategy, "--steps", str(steps))
        assert (first.code, second.code) == (0, 0), first.log + second.log
        assert first.records == second.records == {"0": 0}
        assert "rank 0 of world size 2 starting" in first.log
        assert "rank 1 of world size 2 starting" in second.log
        assert losses(second.log).keys() == {steps} | {50} & losses(first.log).keys()
        logs.append(first.log)
    assert [sorted(losses(log)) for log in logs] == [[10, 20, 30, 40], [50, 60], [70, 80]]
    assert "resuming" not in logs[0]
    assert "resuming after step 40" in logs[1]
    assert "resuming after step 60" in logs[2]
    assert losses(logs[0])[10] > losses(logs[0])[40] > losses(logs[2])[80]
    (entropy,) = re.findall(r"; unigram entropy (\S+) nats$", logs[2], re.M)
    (end,) = re.findall(rf"^val loss (\S+), unigram entropy {entropy} nats; below it", logs[2], re.M)
    assert float(end) < float(entropy) - 0.3


def test_deepspeed_shares_the_optimizer_and_goes_on(tmp_path: Path) -> None:
    if importlib.util.find_spec("deepspeed") is None:
        pytest.skip("deepspeed is not installed here")
    whole = train(tmp_path / "whole", "deepspeed", "--steps", "30", "--deepspeed", "ds_config.json")
    assert [rank.code for rank in whole] == [0, 0], whole
    for steps in ("20", "30"):
        parts = train(tmp_path / "parts", "deepspeed", "--steps", steps, "--deepspeed", "ds_config.json")
        assert [rank.code for rank in parts] == [0, 0], parts
    assert "resuming after step 20" in parts[0].log
    assert losses(whole[0].log)[10] > losses(parts[0].log)[30]
    refused = train(tmp_path / "parts", "plain", "--steps", "40")
    assert [rank.code for rank in refused] == [1, 1]
    assert "the checkpoint is one of DeepSpeed" in refused[0].log


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = subprocess.run(alone(tmp_path / "whole", "--steps", "60"), capture_output=True, text=True, check=True)
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    with subprocess.Popen(alone(tmp_path / "killed", "--steps", "60")) as process:
        deadline = time.monotonic() + 60
        while not checkpoint.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()
    rest = subprocess.run(alone(tmp_path / "killed", "--steps", "60"), capture_output=True, text=True, check=True)
    assert "resuming after step 20" in rest.stdout
    assert losses(rest.stdout) == {step: loss for step, loss in losses(whole.stdout).items() if step > 20}
    value = re.compile(r"^val loss \S+", re.M)
    assert value.findall(rest.stdout) == value.findall(whole.stdout) != []


@pytest.mark.parametrize("words", [("--steps", "0"), ("--steps", "x"), ("--what",)])
def test_bad_words_are_2_and_quick(tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = subprocess.run(alone(tmp_path, *words), capture_output=True, text=True, timeout=10)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert not (tmp_path / "checkpoint.pt").exists()


def test_the_first_line_comes_before_torch(tmp_path: Path) -> None:
    program = alone(tmp_path, "--steps", "1")
    with subprocess.Popen([program[0], "-X", "importtime", *program[1:]], stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        process.kill()
        imported = process.stderr.read()
    assert line.startswith("rank 0 of world size 1 starting")
    assert "argparse" in imported
