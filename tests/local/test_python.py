"""What jobs install stays on their node, on both levels; what the project has is inherited."""

from __future__ import annotations

import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_programs import LocalPrograms, listing_digest

HOST = Path(sysconfig.get_path("purelib"))
INHERITED = "iniconfig"
UV_UNINSTALL = "uv pip uninstall --system"


def wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel of a package that knows its own version."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            f"{info}/RECORD", f"{name}/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return path


@pytest.fixture(scope="module", autouse=True)
def untouched() -> Iterator[None]:
    """The project's and the base installation's packages are afterwards what they were."""
    base = Path(sys.base_prefix, "lib", f"python3.{sys.version_info.minor}", "site-packages")
    before = [listing_digest(folder) for folder in (HOST, base)]
    yield
    assert [listing_digest(folder) for folder in (HOST, base)] == before


@pytest.mark.parametrize(
    ("install", "uninstall"),
    [
        ("pip install --no-index", "python -m pip uninstall -y"),
        ("pip3 install -q -U --no-index", UV_UNINSTALL),
        ("python -m pip install --no-index", UV_UNINSTALL),
        ("python3 -m pip install --no-index --force-reinstall", UV_UNINSTALL),
        ("uv pip install --no-index", "python -m pip uninstall -y"),
        ("uv pip install --system --no-index", UV_UNINSTALL),
        ("uv pip install --no-index --system --reinstall", UV_UNINSTALL),
    ],
)
def test_installs_stay_on_the_node(programs: LocalPrograms, node: dict[str, Any], install: str, uninstall: str) -> None:
    home = Path(node["folder"], "home")
    fresh = wheel(home, "skyrig_test_fresh", "1.5")
    newer = wheel(home, INHERITED, "99.0")
    done = programs.inside(node, f"{install} {fresh} {newer}")
    assert done.exit_status == 0, str((done.stdout, done.stderr))
    look = f"import skyrig_test_fresh as f, {INHERITED} as n; print(f.VERSION, n.VERSION, f.__file__)"
    told = str(programs.inside(node, f'python -c "{look}"', check=True).stdout).split()
    assert told[:2] == ["1.5", "99.0"] and told[2].startswith(f"{node['folder']}/env/")
    programs.inside(node, f"{uninstall} skyrig_test_fresh {INHERITED}", check=True)
    assert programs.inside(node, f'python -c "import {INHERITED}; {INHERITED}.VERSION"').exit_status == 1


@pytest.mark.parametrize("install", ["pip install", "uv pip install --system"])
def test_an_editable_install_stays_on_the_node(programs: LocalPrograms, node: dict[str, Any], install: str) -> None:
    home = Path(node["folder"], "home")
    (home / "mine").mkdir(exist_ok=True)
    (home / "mine" / "skyrig_test_mine.py").write_text("WHERE = __file__")
    project = '[project]\nname = "skyrig-test-mine"\nversion = "1"\n[build-system]\nrequires = ["hatchling"]\n'
    build = 'build-backend = "hatchling.build"\n[tool.hatch.build.targets.wheel]\ninclude = ["*.py"]\n'
    (home / "mine" / "pyproject.toml").write_text(f"{project}{build}[tool.hatch.build]\ndev-mode-dirs = ['.']\n")
    options = "--no-index --no-build-isolation --no-deps"
    programs.inside(node, f"cd mine && {install} {options} -e .", check=True)
    told = programs.inside(node, "python -c 'import skyrig_test_mine as m; print(m.WHERE)'", check=True)
    assert str(told.stdout).strip() == f"{home}/mine/skyrig_test_mine.py"
    programs.inside(node, "python -m pip uninstall -y skyrig-test-mine", check=True)
    assert programs.inside(node, "python -c 'import skyrig_test_mine'").exit_status == 1


def test_an_inherited_package_cannot_be_taken_from_the_project(programs: LocalPrograms, node: dict[str, Any]) -> None:
    programs.inside(node, f"pip uninstall -y {INHERITED}; uv pip uninstall --system {INHERITED}")
    assert programs.inside(node, f'python -c "import {INHERITED}"').exit_status == 0


def test_what_the_project_has_is_inherited(programs: LocalPrograms, node: dict[str, Any]) -> None:
    told = str(
        programs.inside(node, "python -c 'import attrs, sys; print(attrs.__file__, sys.prefix)'", check=True).stdout
    )
    assert told.split() == [str(HOST / "attrs" / "__init__.py"), f"{node['folder']}/env"]
    for name in ("python", "python3", "pip", "pip3"):
        found = str(programs.inside(node, f"command -v {name}", check=True).stdout).strip()
        assert found == f"{node['folder']}/env/bin/{name}"
