"""The example under its real launchers: it learns, it goes on where it stopped, and it says how it ended."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ranks

from skyrig.launch.program import Script
from skyrig.launch.render import render_launch

EXAMPLE = Path(__file__).parents[2] / "examples" / "mingpt"
SMALL = ("--text", "200000", "--batch", "2", "--log-every", "10", "--save-every", "20")

pytestmark = pytest.mark.e2e


@contextmanager
def started(folder: Path, strategy: str, *words: str) -> Iterator[tuple[list[subprocess.Popen[bytes]], Path]]:
    """The example on two ranks, its checkpoints in `folder`/out; and where the ranks' own folders are."""
    place = folder / f"{strategy}-{time.monotonic_ns()}"
    shutil.copytree(EXAMPLE, place / "workdir", ignore=shutil.ignore_patterns("__pycache__"))
    script = Script("train.py", (*SMALL, "--out", str(folder / "out"), *words))
    with ranks.started(render_launch(script, strategy), place) as running:
        yield running, place


def train(folder: Path, strategy: str, *words: str) -> list[ranks.Rank]:
    """The same, once it has ended."""
    with started(folder, strategy, *words) as (running, place):
        return ranks.ended(running, place)


def appeared(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Return as soon as `path` is there; it is an error if the process ends before, or after a minute."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)


def losses(log: str) -> dict[int, float]:
    """Loss by step, as printed."""
    return {int(step): float(loss) for step, loss in re.findall(r"^step (\d+)/\d+ loss (\S+) tokens/s \d+$", log, re.M)}


ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}
"""As a rank has it: torch's threads wait for one another by spinning, which is slow beside other tests."""


def alone(out: Path, *words: str) -> list[str]:
    """The command that runs the example without a launcher."""
    return [sys.executable, str(EXAMPLE / "train.py"), *SMALL, "--out", str(out), *words]


@pytest.mark.soak
def test_one_run_goes_on_under_torchrun_accelerate_and_plain(tmp_path: Path) -> None:
    logs = []
    for strategy, steps in (("torchrun", 40), ("accelerate", 60), ("plain", 80)):
        first, second = train(tmp_path, strategy, "--steps", str(steps))
        assert (first.code, second.code) == (0, 0), first.log + second.log
        assert first.records == second.records == {"0": 0}
        assert "rank 0 of world size 2 starting" in first.log
        assert "rank 1 of world size 2 starting" in second.log
        assert losses(second.log).keys() == {steps} | {50} & losses(first.log).keys()
        assert (tmp_path / "out" / "huggingface" / "model.safetensors").exists()
        shutil.rmtree(tmp_path / "out" / "huggingface")
        logs.append(first.log)
    assert [sorted(losses(log)) for log in logs] == [[10, 20, 30, 40], [50, 60], [70, 80]]
    assert "resuming" not in logs[0]
    assert "resuming after step 40" in logs[1]
    assert "resuming after step 60" in logs[2]
    assert losses(logs[0])[10] > max(losses(logs[0])[40], losses(logs[2])[80])
    (entropy,) = re.findall(r"; unigram entropy (\S+) nats$", logs[2], re.M)
    (end,) = re.findall(rf"^val loss (\S+), unigram entropy {entropy} nats; below it", logs[2], re.M)
    assert float(end) < float(entropy) - 0.3


@pytest.mark.soak
def test_deepspeed_goes_on_with_the_optimizer_that_it_had(tmp_path: Path) -> None:
    if importlib.util.find_spec("deepspeed") is None:
        pytest.skip("deepspeed is not installed here")
    words = ("--steps", "40", "--deepspeed", "ds_config.json")
    with started(tmp_path / "whole", "deepspeed", *words) as (running, place):
        half_way = tmp_path / "rest" / "out" / "checkpoint.pt"
        half_way.parent.mkdir(parents=True)
        appeared(tmp_path / "whole" / "out" / "checkpoint.pt", running[0])
        shutil.copy(tmp_path / "whole" / "out" / "checkpoint.pt", half_way)
        whole = ranks.ended(running, place)
    assert [rank.code for rank in whole] == [0, 0], whole
    rest = train(tmp_path / "rest", "deepspeed", *words)
    assert "resuming after step 20" in rest[0].log
    assert losses(rest[0].log) == {step: loss for step, loss in losses(whole[0].log).items() if step > 20}
    assert losses(whole[0].log)[10] > losses(rest[0].log)[40]
    refused = train(tmp_path / "rest", "plain", "--steps", "50")
    assert [rank.code for rank in refused] == [1, 1]
    assert "the checkpoint is one of DeepSpeed" in refused[0].log


@pytest.mark.soak
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = subprocess.run(
        alone(tmp_path / "whole", "--steps", "40"), env=ALONE, capture_output=True, text=True, check=True
    )
    killed = alone(tmp_path / "killed", "--steps", "40")
    with subprocess.Popen(killed, env=ALONE, stdout=subprocess.DEVNULL) as process:
        appeared(tmp_path / "killed" / "checkpoint.pt", process)
        process.kill()
    rest = subprocess.run(killed, env=ALONE, capture_output=True, text=True, check=True)
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


def test_the_first_line_comes_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit(17)")
    ended = subprocess.run(
        alone(tmp_path), capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}
    )
    assert ended.returncode == 17
    assert ended.stdout.startswith("rank 0 of world size 1 starting")
