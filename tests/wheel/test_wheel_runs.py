"""From the wheel to a job on a cluster and back, with no clone, in an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from wheel_venv import Installed, read_only

pytestmark = pytest.mark.e2e

TASK = 'run: echo "rank $SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES on Python $(python3 -V)"\n'
IMPORT_ALL = """
import importlib, pathlib, pkgutil, skyrig
programs = [path for path in pathlib.Path(skyrig.__path__[0], "launch").glob("*.py")]
alone = {path.stem for path in programs if any(mark in path.read_text() for mark in ("given", "(stdlib only"))}
for module in pkgutil.walk_packages(skyrig.__path__, "skyrig."):
    name = module.name.rpartition(".")[2]
    if name != "__main__" and not (name in alone and module.name.count(".") == 2):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as missing:  # checkpoints alone may ask for more than Skyrig brings
            if missing.name not in ("torch", "transformers") or not module.name.startswith("skyrig.checkpoint."):
                raise
print("all")
"""


def test_the_life_of_a_cluster(installed: Installed) -> None:
    task = installed.work / "task.yaml"
    task.write_text(TASK)
    with read_only(installed.site_packages):
        said = installed.skyrig("launch", "task.yaml", "-c", "x", "--infra", "local", "--num-nodes", "2", "-y")
        assert "rank 0 of 2" in said and "rank 1 of 2" in said
        [cluster] = installed.json("status", "x")["clusters"]
        assert (cluster["status"], len(cluster["nodes"])) == ("UP", 2)
        assert "rank 0 of 1" in installed.skyrig("exec", "x", "task.yaml")
        assert "rank 1 of 2" in installed.skyrig("logs", "x", "1")
        assert [job["status"] for job in installed.json("queue", "x")["jobs"]] == ["SUCCEEDED", "SUCCEEDED"]
        _plain_pulumi_sees_the_same(installed)
        (installed.project / "stacks" / "__main__.py").write_text("raise SystemExit('of another version')\n")
        installed.skyrig("down", "x", "-y", PYTHONSAFEPATH="1")
    assert [cluster["status"] for cluster in installed.json("status", "x")["clusters"]] == ["DOWN"]
    assert list(installed.work.iterdir()) == [task]
    assert (installed.project / "stacks" / "Pulumi.x.yaml").exists()
    assert not list(installed.home.glob("local/x/*"))


def _plain_pulumi_sees_the_same(installed: Installed) -> None:
    assert '"name": "x"' in installed.skyrig("pulumi", "stack", "ls", "--json")
    script = f'eval "$({installed.bin}/skyrig pulumi --env)" && pwd && pulumi preview --stack x --expect-no-changes'
    said = installed.run("bash", "-ec", script)
    assert said.startswith(f"{installed.project}\n") and "unchanged" in said


def _python(version: str) -> str | None:
    """A Python of that version that runs here: on PATH, or one of pyenv's."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for found in (shutil.which(f"python{version}"), *root.glob(f"versions/{version}.*/bin/python{version}")):
        if found and subprocess.run([found, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            return str(found)
    return None


@pytest.mark.parametrize("version", ["3.10", "3.12", "3.13"])
def test_other_pythons(wheel: Path, tmp_path: Path, version: str) -> None:
    found = _python(version)
    if found is None:
        pytest.skip(f"no Python {version} on PATH or of pyenv's")
    other = Installed(tmp_path, wheel, found, pinned=version != "3.10")  # the pins are those of newer ones
    assert other.inside(IMPORT_ALL) == "all"
    if version != "3.10":
        return
    (other.work / "task.yaml").write_text(TASK)
    try:
        said = other.skyrig("launch", "task.yaml", "-c", "old", "--infra", "local", "-y")
        assert f"on Python Python {version}" in said
    finally:
        other.skyrig("down", "old", "-y")
