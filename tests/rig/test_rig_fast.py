"""When all is in place, rig adds nearly no time and no word of its own."""

import statistics
import subprocess
import time

import pytest
from rig_clone import ROOT, Clone

TRAIN = {
    (): "torch",
    ("--nodes", "2"): "torch",
    ("--strategy", "accelerate"): "accelerate",
    ("--strategy=deepspeed",): "deepspeed",
    ("--strategy", "ray"): "ray",
    ("--", "--strategy", "deepspeed"): "torch",
}


def test_the_fast_path_is_quick_and_silent(clone: Clone) -> None:
    clone.ready("base")
    took = []
    for _ in range(5):
        started = time.monotonic()
        code, out, err = clone.rig("queue", "-c", "a b", "$HOME")
        took.append(time.monotonic() - started)
        assert (code, err) == (0, "")
        assert out == f"invoked in {clone.root}/.venv: queue -c a b $HOME\n"
    assert statistics.median(took) < 0.2


def test_pulumi_is_reached_through_rig(clone: Clone) -> None:
    clone.ready("base")
    assert clone.rig("pulumi", "up", "--yes") == (0, f"pulumid in {clone.root}/.venv: up --yes\n", "")


def test_from_outside_the_clone_invoke_is_told_where_the_verbs_are(clone: Clone) -> None:
    clone.ready("base")
    command = [clone.root / "rig", "status"]
    out = subprocess.check_output(command, cwd="/", env=clone.environment, text=True)
    assert out == f"invoked in {clone.root}/.venv: --search-root {clone.root} status\n"


@pytest.mark.parametrize("arguments", TRAIN, ids=" ".join)
def test_train_needs_what_its_strategy_needs(clone: Clone, arguments: tuple[str, ...]) -> None:
    needed = TRAIN[arguments]
    clone.ready("base", "dev", "torch", *{"accelerate", "deepspeed", "ray"} - {needed})
    code, _, _ = clone.rig("train", *arguments)
    assert (code == 0) is (needed == "torch"), "with no Python on PATH, what is not in place is an error"


def test_serving_needs_torch_and_its_engine(clone: Clone) -> None:
    clone.ready("base", "dev", "torch")
    assert clone.rig("serve")[0] == 5, "with no Python on PATH, what is not in place is an error"
    clone.ready("serve")
    assert clone.rig("serve")[0] == 0


@pytest.mark.parametrize("verb", ["test", "lint"])
def test_checks_need_the_tools_for_them(clone: Clone, verb: str) -> None:
    clone.ready(
        "base",
        "torch",
        "accelerate",
        "deepspeed",
        "ray",
        "aws",
        "gcp",
        "azure",
        "oci",
        "nebius",
        "kubernetes",
        "lora",
        "lightning",
        "serve",
        "wandb",
        "postgres",
        "storage",
        "system",
    )
    assert clone.rig(verb)[0] == 5
    clone.ready("dev")
    assert clone.rig(verb)[0] == 0


@pytest.mark.parametrize(
    "file",
    [
        "rig",
        "requirements/base.txt",
        "tools/rig/engine.py",
        "tools/engine/pulumi/go.sum",
        "tools/storage/rclone/main.go",
    ],
)
def test_a_changed_file_of_rig_ends_the_fast_path(clone: Clone, file: str) -> None:
    clone.ready("base")
    with clone.root.joinpath(file).open("a") as changed:
        changed.write("# changed\n")
    assert clone.rig("up")[0] == 5


def test_a_moved_clone_ends_the_fast_path(clone: Clone) -> None:
    clone.ready("base")
    clone.root = clone.root.rename(clone.root.with_name("moved"))
    assert clone.rig("up")[0] == 5


def test_a_vanished_engine_ends_the_fast_path(clone: Clone) -> None:
    clone.ready("base")
    clone.engine.joinpath("pulumi").unlink()
    assert clone.rig("up")[0] == 5


def test_shell_parts_pass_shellcheck() -> None:
    files = [ROOT / "rig", ROOT / "tools" / "rig" / "pulumi.sh", ROOT / ".ci" / "run"]
    shellcheck = ROOT / ".venv" / "bin" / "shellcheck"
    done = subprocess.run([shellcheck, *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
