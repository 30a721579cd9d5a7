"""The task that serves a model: its texts compared with files that a person has read, and what is refused.
SKYRIG_UPDATE_GOLDEN=1 writes the files anew."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engine_cases import CASES, H100, cases
from hypothesis import example, given
from hypothesis import strategies as st

from skyrig.cluster.description import Accelerators
from skyrig.errors import BadInput
from skyrig.launch import mounts
from skyrig.launch.mends import of_run
from skyrig.serve import engines
from skyrig.serve.client import asked
from skyrig.serve.engines import model as models
from skyrig.task.model import Task

GOLDEN = Path(__file__).parent / "golden"
UPDATE = os.environ.get("SKYRIG_UPDATE_GOLDEN") == "1"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model in it, as far as its name goes."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    return tmp_path


def texts(task: Task) -> dict[str, str]:
    """What it runs, by file name."""
    assert task.setup and task.run
    return {"setup.sh": task.setup, "run.sh": task.run}


@pytest.mark.parametrize("case", CASES)
def test_rendered_texts_are_the_golden_ones(case: str, folder: Path) -> None:
    found = texts(cases(folder)[case]())
    if UPDATE:
        shutil.rmtree(GOLDEN / case, ignore_errors=True)
        (GOLDEN / case).mkdir(parents=True)
        for name, text in found.items():
            (GOLDEN / case / name).write_text(text)
    assert {path.name: path.read_text() for path in (GOLDEN / case).iterdir()} == found


def test_no_golden_folder_is_without_its_case() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(CASES)


def test_shellcheck_finds_nothing(folder: Path) -> None:
    files = []
    for case, made in cases(folder).items():
        for name, text in texts(made()).items():
            files.append(folder / f"{case}-{name}")
            files[-1].write_text(text)
    words = ["--shell=bash", "--severity=style", "--exclude=SC2088,SC2016,SC1003"]  # of words that stay as they are
    checked = subprocess.run([SHELLCHECK, *words, *files], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("case", CASES)
def test_every_task_can_be_a_service(case: str, folder: Path) -> None:
    made = cases(folder)[case]()
    spec = asked.of(made, "mine").spec
    engine = engines.known(spec.engine)
    assert (spec.port, spec.probe.path, spec.metrics_path) == (engine.port, "/health", "/metrics")
    assert spec.nodes_each == made.num_nodes
    assert asked.takes_any_port(made), "replicas that share an address need ports of their own"
    assert of_run(made.run or "", made.num_nodes) == (), "our own texts need no mends"


def test_a_folder_here_is_brought_and_called_by_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    made = engines.task("mine")
    brought = mounts.of(made.mounts, has_workdir=False)
    brought.require_sources()
    assert brought.sources["~/sky_serve/models/mine"] == folder / "mine"
    assert models.read("./mine").name == "mine"
    assert models.read(str(folder / "mine")).name == str(folder / "mine"), "a path is what clients call it by"


@pytest.mark.parametrize(
    ("text", "name", "is_folder"),
    [
        ("/mnt/a b", "/mnt/a b", True),
        ("~/sky_models/x", "~/sky_models/x", True),
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", False),
        ("gpt2", "gpt2", False),
    ],
)
def test_what_is_not_here_is_on_the_nodes_or_on_the_hub(text: str, name: str, is_folder: bool) -> None:
    found = models.read(text)
    assert (found.name, found.is_folder, found.source) == (name, is_folder, None)


@pytest.mark.parametrize("text", ["./nowhere", "../nowhere", "", "a b", "a/b/c", "-rf", "$(id)"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        models.read(text)


def test_a_folder_without_a_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"config\.json"):
        models.read(".")


def test_engines_are_chosen_by_what_is_there() -> None:
    assert engines.default(Accelerators()) == "transformers"
    assert engines.default(H100) == "vllm"
    assert engines.default(Accelerators("H100", 8, declared=True)) == "transformers", "rehearsed ones compute nothing"
    with pytest.raises(BadInput) as error:
        engines.known("vlm")
    assert "vllm" in str(error.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"engine": "vllm"}, "wants accelerators"),
        ({"num_nodes": 2}, "one node"),
        ({"num_nodes": 0}, "cannot be"),
        ({"arguments": ("a\0b",)}, "NUL"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(words: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        engines.task("gpt2", **words)  # type: ignore[arg-type]


@example("x" * 300)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_a_path_reaches_the_engine_to_the_byte(path: str) -> None:
    run = engines.task(f"/{path}", served_name=path).run or ""
    words = shlex.split(run, comments=True)
    assert path in words[words.index("--name") + 1 :]
    assert f"model=/{path}" in words


def test_versions_are_those_that_the_sets_pin() -> None:
    pinned = {
        name: Path(__file__).parents[2].joinpath("requirements", f"{name}.txt").read_text() for name in ("serve", "ray")
    }
    assert f"\ntransformers=={engines.ENGINES['transformers'].version} " in pinned["serve"]
    (ray,) = engines.ENGINES["vllm"].cluster_packages
    assert f"\nray=={ray.partition('==')[2]} " in pinned["ray"]
