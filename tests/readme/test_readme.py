"""Every block of the README that a reader would type runs, in order, in a clone of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from user import end_nodes

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project as a newcomer has it after `./rig`: own folder, own data folder, `dev` as the selected stack."""
    folder = tmp_path_factory.mktemp("readme")
    tree = folder / "clone"
    (tree / "stacks").mkdir(parents=True)
    for entry in ROOT.iterdir():
        if entry.name not in ("stacks", "Pulumi.yaml") and (entry.name == ".venv" or not entry.name.startswith(".")):
            (tree / entry.name).symlink_to(entry)
    shutil.copy(ROOT / "Pulumi.yaml", tree)
    shutil.copy(ROOT / "stacks" / "__main__.py", tree / "stacks")
    _bash(tree, "pulumi stack init dev")  # the wrapper does that in its own clone alone (tests/rig)
    yield tree
    end_nodes(folder / "home")


def _bash(tree: Path, text: str) -> str:
    from skyrig import places

    env = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "SKYRIG_"))}
    env |= {
        "SKYRIG_HOME": str(tree.parent / "home"),
        "SKYRIG_CACHE": str(places.cache()),
        "SKYRIG_SSH_CONFIG": "",
        "PULUMI_HOME": str(tree.parent / "pulumi"),
        "PATH": f"{Path(sys.prefix) / 'bin'}:{env['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-e", "-c", text], cwd=tree, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_readme_has_blocks_to_run() -> None:
    assert len(BLOCKS) == 5


def test_the_tour(clone: Path) -> None:
    said = _bash(clone, BLOCKS[0])
    assert "rank 0 of world size 2" in said
    assert "rank 1 of world size 2" in said
    assert re.search(r"loss \d+\.\d+", said)
    assert not (clone.parent / "home" / "local" / "dev").exists()


def test_your_own_script(clone: Path) -> None:
    said = _bash(clone, BLOCKS[1])
    assert "hello from rank 0 of 2" in said
    assert "hello from rank 1 of 2" in said
    assert "accelerate" in said


def test_a_task_file(clone: Path) -> None:
    said = _bash(clone, BLOCKS[2])
    assert "(rank 1, n1) node 1 of 2" in said
    assert "hello goes down by itself after 10 idle minutes" in said
    assert re.search(r"^\(rank 0, n0\) GPU 0: L4|^GPU 0: L4", said, re.MULTILINE)
    assert "10m down" in said


def test_a_job_that_finishes(clone: Path) -> None:
    said = _bash(clone, BLOCKS[3])
    steps = [int(step) for step in re.findall(r"step (\d+) of 12", said)]
    assert steps[-1] == 12
    assert len(set(range(1, 13)) - set(steps)) <= 2, "the last lines of a node that is killed may go with it"
    assert re.search(r"^ *1 +\S+ +count +SUCCEEDED", said, re.MULTILINE), said


def test_a_service(clone: Path) -> None:
    for program in ("haproxy", "curl"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip(f"no {program} on this machine")
    said = _bash(clone, BLOCKS[4])
    assert "<!DOCTYPE HTML" in said
    assert re.search(r"^web +READY +1 .* [12]/2 ", said, re.MULTILINE)
    assert "service web is gone" in said
