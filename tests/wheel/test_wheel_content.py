"""What the wheel holds, and what it leaves alone in the environment that it is installed into."""

from __future__ import annotations

import re
import resource
import subprocess
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from wheel_venv import ROOT, Installed, built

SHIPPED = ("Pulumi.yaml", "components", "examples", "stacks/__main__.py", "templates", "tools/engine", "tools/storage")
EXTRAS = {
    "plots", "postgres",
    "aws", "gcp", "azure", "oci", "nebius", "kubernetes", "torch", "deepspeed", "ray", "serve", "accelerate",
}  # fmt: skip


def names(wheel: Path) -> set[str]:
    """The files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def tracked(*paths: str) -> set[str]:
    """The files that git knows, or would take, below these paths."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *paths]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    return {name for name in found if (ROOT / name).exists()}


def test_everything_that_skyrig_needs_is_in_it_and_nothing_else(wheel: Path) -> None:
    info = {name for name in names(wheel) if name.startswith("skyrig-")}
    rig = {name for name in names(wheel) if name.startswith("skyrig/shipped/tools/rig/")}
    wanted = tracked("skyrig") | {f"skyrig/shipped/{name}" for name in tracked(*SHIPPED)}
    assert names(wheel) - info - rig == wanted
    assert len(rig) > 5
    assert {"skyrig/py.typed", "skyrig/shipped/components/py.typed"} <= wanted


def test_it_tells_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith("/METADATA")).removesuffix("METADATA")
        metadata = HeaderParser().parsestr(archive.read(f"{info}METADATA").decode())
        assert "Apache License" in archive.read(f"{info}licenses/LICENSE").decode()
        assert "skyrig = skyrig.cli.program:main" in archive.read(f"{info}entry_points.txt").decode()
    assert metadata.get_payload() == ROOT.joinpath("README.md").read_text()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra") or []) == EXTRAS


def test_a_wheel_made_from_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(built("sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "tree", filter="data")
    again = built("wheel", tmp_path / "wheel", next((tmp_path / "tree").iterdir()))
    assert names(again) == names(wheel)


@pytest.mark.parametrize("name", ["components", "stacks", "templates", "tools", "examples"])
def test_no_general_name_is_taken(installed: Installed, name: str) -> None:
    assert installed.inside(f"import importlib.util as u; print(u.find_spec({name!r}))") == "None"


def test_importing_skyrig_costs_nothing(installed: Installed) -> None:
    code = "import sys; before = set(sys.modules); import skyrig; print(*sorted(set(sys.modules) - before))"
    assert installed.inside(code) == "skyrig"


def test_the_list_and_the_version_are_there(installed: Installed) -> None:
    assert installed.skyrig("--version") == "skyrig 0.1.0\n"
    verbs = set(re.findall(r"^  (\S+)", installed.skyrig("--list"), re.MULTILINE))
    assert {"launch", "pulumi", "local.ls"} <= verbs
    assert not verbs & {"test", "lint", "bench"}


def test_the_examples_are_there_to_be_copied(installed: Installed) -> None:
    names = [each["name"] for each in installed.json("examples")["examples"]]
    assert names == sorted({path.split("/")[1] for path in tracked("examples") if path.count("/") > 1})
    installed.skyrig("examples", "network", "of-the-wheel")
    copied = {str(path.relative_to(installed.work)) for path in installed.work.glob("of-the-wheel/**/*")}
    assert copied == {path.replace("examples/network", "of-the-wheel") for path in tracked("examples/network")}
    assert "is not empty" in installed.skyrig("examples", "network", "of-the-wheel", code=2)


def test_the_list_costs_little(installed: Installed) -> None:
    took = []
    for _ in range(4):  # the first one compiles
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        installed.skyrig("--list")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 0.6  # seconds of processor time; 0.25 where nothing else runs


def test_the_program_that_gets_the_engine_has_all_its_parts(installed: Installed, tmp_path: Path) -> None:
    """No Pulumi, no release server, no Go: it comes as far as to say so, in one line."""
    nothing = {"SKYRIG_CACHE": str(tmp_path), "PATH": str(installed.bin), "https_proxy": "http://127.0.0.1:9"}
    said = installed.skyrig("up", "-c", "never", code=5, **nothing).splitlines()
    assert re.match(r"no way to Pulumi's engine .*install Go [0-9.]+ or newer, or Pulumi", said[-1]), said
    assert len([line for line in said if "error" in line or "Traceback" in line]) == 0
