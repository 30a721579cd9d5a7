"""What `import skyrig` offers: the names, their types, and how little it costs."""

import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import skyrig
from skyrig import sdk

HEAVY = ("pulumi", "torch", "asyncssh", "yaml", "attr", "cattrs", "asyncio", "json", "boto3", "google.cloud")


def test_both_lists_of_names_agree() -> None:
    assert skyrig.__all__ == sdk.__all__
    assert set(skyrig.__all__) <= set(dir(skyrig))
    assert all(getattr(skyrig, name) is getattr(sdk, name) for name in skyrig.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lunch'"):
        skyrig.lunch  # type: ignore[attr-defined]  # noqa: B018


def test_the_verb_goes_before_the_package_of_its_name() -> None:
    from skyrig.launch import job

    assert job.JobStatus is skyrig.JobStatus
    assert isinstance(skyrig.launch, FunctionType)


def test_importing_it_is_cheap() -> None:
    code = f"import sys, skyrig; print(*[name for name in {HEAVY} if name in sys.modules])"
    took = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout == "\n"
        (line,) = [line for line in done.stderr.splitlines() if line.endswith("| skyrig")]
        took.append(int(line.split("|")[1]) / 1000)
    assert min(took) < 30  # ms


def test_building_and_asking_need_neither_engine_nor_ssh() -> None:
    code = (
        "import sys, skyrig as sky; sky.Task('t', resources=sky.Resources(cpus=1)); sky.api_status(); "
        "print(*[name for name in ('pulumi', 'torch', 'asyncssh', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_a_type_checker_knows_it(tmp_path: Path) -> None:
    checked = Path(__file__).with_name("typed.py")
    words = ["mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", str(checked)]
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
