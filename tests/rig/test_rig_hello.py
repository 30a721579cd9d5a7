"""The first job, run while torch is still on its way."""

import json
import subprocess
from pathlib import Path

import pytest
from rig_clone import ROOT, Clone, engine_programs, wheel

FLAGS: list[tuple[list[str], list[str] | None]] = [
    (["train"], ["-c", "dev", "--nodes", "2"]),
    (["train", "--nodes", "3"], ["-c", "dev", "--nodes", "3"]),
    (["train", "--num-nodes=4", "-c", "mine"], ["-c", "mine", "--nodes", "4"]),
    (["train", "--nodes", "x"], ["-c", "dev", "--nodes", "x"]),
    (["train", "--", "--nodes", "9"], ["-c", "dev", "--nodes", "2"]),
    (["train", "--infra", "aws"], None),
    (["train", "--cloud=gcp"], None),
    (["test"], None),
    ([], None),
]


def test_hello_takes_over_what_train_was_told(clone: Clone) -> None:
    code = (
        "import json, runpy\n"
        "rig = runpy.run_path('__main__.py', run_name='rig')\n"
        f"print(json.dumps([rig['arguments_of_hello'](given) for given in {[given for given, _ in FLAGS]!r}]))\n"
    )
    assert json.loads(clone.inside(code)) == [wanted for _, wanted in FLAGS]


@pytest.fixture
def slow_torch(clone: Clone, empty_venv: Path) -> Clone:
    """A clone where torch is a package that installs only after `hello.done` is there."""
    clone.python()
    clone.small_packages()
    clone.empty_venv(empty_venv)
    engine_programs(clone.engine)
    pip = next(clone.root.glob(".venv/lib/python3*/site-packages")) / "pip"
    gate = 'while [ ! -e "$HOME/gate" ]; do sleep 0.05; done'
    hold = (
        f"import subprocess, sys\nif any('torch.txt' in a for a in sys.argv): subprocess.run(['sh', '-c', {gate!r}])\n"
    )
    main = pip / "__main__.py"
    main.write_text(hold + main.read_text())
    return clone


def greeter(clone: Clone, code: int) -> None:
    """Let the small `invoke` open the gate for torch when it has launched, and end with `code`."""
    source = (
        "import os, sys\n\ndef main():\n    print('invoked', *sys.argv[1:], flush=True)\n"
        "    if sys.argv[1] == 'launch':\n        open(os.environ['HOME'] + '/gate', 'w').close()\n"
        f"        sys.exit({code})\n"
    )
    clone.wheels.joinpath("invoke-3.0-py3-none-any.whl").unlink()
    line = wheel(clone.wheels, "invoke", "3.0", {"invoke/__init__.py": source}, command="invoke:main")
    base = clone.root / "requirements" / "base.txt"
    rest = [other for other in base.read_text().splitlines(keepends=True) if not other.startswith("invoke==")]
    base.write_text("".join([line, *rest]))


def test_all_ranks_say_hello_before_torch_is_there(slow_torch: Clone) -> None:
    greeter(slow_torch, 0)
    code, out, err = slow_torch.rig("train", "--nodes", "2")
    assert code == 0, err
    assert out.splitlines() == [
        "invoked up -c dev --nodes 2",
        "invoked launch tools/rig/hello.yaml -c dev --nodes 2 -y",
        "invoked train --nodes 2",
    ]
    assert slow_torch.rig("train")[1] == "invoked train\n", "once torch is there, hello is not said again"


def test_a_first_job_that_fails_ends_rig_with_its_code(slow_torch: Clone) -> None:
    greeter(slow_torch, 4)
    code, out, err = slow_torch.rig("train")
    assert code == 4
    assert "launch tools/rig/hello.yaml" in out
    assert "ended with 4" in err and "invoked train" not in out
    assert not slow_torch.kept.joinpath("ok-torch").exists()


def test_the_first_job_is_a_valid_task_for_any_shell() -> None:
    line = ROOT.joinpath("tools", "rig", "hello.yaml").read_text().split("run: |\n")[1].strip()
    variables = {"SKYRIG_NODE_RANK": "1", "SKYRIG_NUM_NODES": "2", "PATH": "/usr/bin:/bin"}
    assert subprocess.check_output(["sh", "-c", line], env=variables, text=True).startswith(
        "hello from rank 1 of 2 on "
    )
