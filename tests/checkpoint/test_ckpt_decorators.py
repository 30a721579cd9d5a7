"""save_checkpoint and load_checkpoint around functions as the training guide writes them; files stand for torch's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from skyrig.checkpoint import CheckpointsDamaged, load_checkpoint, save_checkpoint
from skyrig.errors import BadInput


class Model:
    """What is saved and loaded."""

    def __init__(self, text: str = "") -> None:
        self.text = text


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@save_checkpoint(save_dir="checkpoints")
def save_model(step: int, model: Model) -> str:
    """The guide's first example, by its own name of the file."""
    Path(f"checkpoints/model_{step}.pt").write_text(model.text)
    return f"saved {step}"


@load_checkpoint(save_dir="checkpoints")
def load_model(step: int, model: Model) -> int:
    """Its counterpart."""
    model.text = Path(f"checkpoints/model_{step}.pt").read_text()
    return step


@save_checkpoint(save_dir="checkpoints", max_checkpoints=2)
def save_training_state(step: int, model: Model) -> None:
    """The guide's second example; it saves into the same folder."""
    Path(f"checkpoints/training_{step}.pt").write_text(model.text)


@save_checkpoint(save_dir="checkpoints", checkpoint_prefix="experiment1")
def save_with_metrics(step: int, model: Model, metrics: dict[str, float]) -> None:
    """The guide's third example, with a prefix."""
    Path(f"checkpoints/experiment1_step_{step}.pt").write_text(json.dumps([model.text, metrics]))


def names(pattern: str = "*") -> list[str]:
    return sorted(path.name for path in Path("checkpoints").glob(pattern))


def test_the_newest_is_loaded_whatever_step_is_given() -> None:
    for step in (1, 20, 3):
        assert save_model(step, Model(f"text {step}")) == f"saved {step}"
    model = Model()
    assert load_model(0, model) == 20
    assert model.text == "text 20"
    assert load_model(step=0, model=model) == 20
    assert load_model(model=model) == 20  # type: ignore[call-arg]


def test_only_the_newest_stay_of_each_function() -> None:
    save_model(1, Model("a"))
    for step in range(2, 8):
        save_training_state(step=step, model=Model("b"))
    save_with_metrics(9, Model("c"), {"loss": 1.0})
    assert names("*.pt") == ["experiment1_step_9.pt", "model_1.pt", "training_6.pt", "training_7.pt"]
    assert names("*.json") == [
        "checkpoint_step_1_metadata.json",
        "checkpoint_step_6_metadata.json",
        "checkpoint_step_7_metadata.json",
        "experiment1_step_9_metadata.json",
    ]
    said = json.loads(Path("checkpoints/experiment1_step_9_metadata.json").read_text())
    assert (said["step"], said["model_type"], list(said["files"])) == (9, "Model", ["experiment1_step_9.pt"])


def test_a_damaged_one_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    for step in (1, 2, 3, 4):
        save_model(step, Model(f"text {step}"))
    Path("checkpoints/model_4.pt").write_text("text")
    Path("checkpoints/model_3.pt").write_text("txet 3")
    Path("checkpoints/model_2.pt").unlink()
    model = Model()
    assert load_model(0, model) == 1
    assert model.text == "text 1"
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        "model_4.pt has 4 bytes, not 6",
        "model_3.pt holds other bytes than were saved",
        "model_2.pt cannot be read: No such file or directory",
    ]
    Path("checkpoints/model_1.pt").write_text("")
    with pytest.raises(CheckpointsDamaged, match=r"no checkpoint in checkpoints could be loaded: step 4.*; step 1: "):
        load_model(0, model)


def test_a_function_that_raises_is_called_once_and_nothing_is_recorded() -> None:
    calls = []

    @save_checkpoint(save_dir="checkpoints")
    def save(step: int, model: Model) -> None:
        calls.append(step)
        Path(f"checkpoints/model_{step}.pt").write_text(model.text[:2])
        raise OSError("No space left on device")

    save_model(1, Model("text 1"))
    with pytest.raises(OSError, match="No space"):
        save(2, Model("text 2"))
    assert calls == [2]
    model = Model()
    assert load_model(0, model) == 1
    assert model.text == "text 1"


def test_the_one_before_is_loaded_where_the_function_raises() -> None:
    save_model(1, Model("text 1"))
    save_training_state(2, Model("text 2"))  # load_model finds no file of that step
    assert load_model(0, Model()) == 1


def test_the_first_run_finds_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert load_model(0, Model()) is None
    assert caplog.messages == ["no checkpoints in checkpoints"]
    assert not Path("checkpoints").exists()

    @load_checkpoint(save_dir="checkpoints")
    def load(step: int) -> str:
        return f"from {step}"

    assert load(0) == "from 0"


def test_files_from_before_the_records_are_found_by_their_names() -> None:
    Path("checkpoints").mkdir()
    for step in (5, 10):
        Path(f"checkpoints/model_{step}.pt").write_text(f"text {step}")
    assert load_model(0, Model()) == 10
    save_model(7, Model("text 7"))  # from the first record on, only what is recorded counts
    assert load_model(0, Model()) == 7


def test_one_file_for_all_steps_is_the_newest_ones() -> None:
    @save_checkpoint(save_dir="checkpoints", max_checkpoints=1)
    def save(step: int, model: Model) -> None:
        Path("checkpoints/latest.pt").write_text(model.text)

    @load_checkpoint(save_dir="checkpoints")
    def load(step: int) -> tuple[int, str]:
        return step, Path("checkpoints/latest.pt").read_text()

    for step in (1, 2, 3):
        save(step, Model(f"text {step}"))
    assert names() == ["checkpoint_step_3_metadata.json", "latest.pt"]
    assert load(0) == (3, "text 3")


def test_calls_without_a_step_or_without_a_file_are_only_calls() -> None:
    @save_checkpoint(save_dir="checkpoints")
    def save(step: object = None) -> str:
        return f"called with {step}"

    assert [save(), save("best"), save(4)] == ["called with None", "called with best", "called with 4"]
    assert names() == []
    with pytest.raises(BadInput, match="max_checkpoints=0: at least 1"):
        save_checkpoint("checkpoints", 0)


def test_neither_decorator_needs_torch(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from skyrig.checkpoint import load_checkpoint, save_checkpoint\n"
        "@save_checkpoint('c')\n"
        "def save(step): open(f'c/{step}.bin', 'w').write('x')\n"
        "@load_checkpoint('c')\n"
        "def load(step): return step\n"
        "save(3); print(load(0))\n"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert (told.stdout, told.stderr) == ("3\n", "")
