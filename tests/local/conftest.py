"""Fixtures of the local cloud: its programs as root or as a plain user, its nodes, and stacks of the real engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local_engine import LocalEngine, LocalStack
from local_programs import LEVELS, LocalPrograms

from skyrig.cluster.description import ClusterDescription


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> LocalPrograms:
    """The local cloud's programs, as the user that runs the tests."""
    return LocalPrograms(tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="session")
def best_level(programs: LocalPrograms) -> str:
    """The level that `auto` means here."""
    return str(programs.run("probe", {"folder": str(programs.home)})["level"])


@pytest.fixture(scope="session", params=LEVELS)
def level(request: pytest.FixtureRequest, best_level: str) -> str:
    """Each level that works here."""
    if request.param == "namespaces" and best_level != "namespaces":
        pytest.skip("no namespaces for this user on this machine")
    return str(request.param)


@pytest.fixture
def stack_name(programs: LocalPrograms) -> Iterator[str]:
    """A stack without the engine, taken away after the test."""
    name = f"s-{uuid.uuid4().hex[:8]}"
    yield name
    programs.stop_all(name)


@pytest.fixture(scope="session")
def two_nodes(programs: LocalPrograms, level: str) -> Iterator[list[dict[str, Any]]]:
    """Two nodes of one stack, for tests that leave them as they are."""
    name = f"s-{uuid.uuid4().hex[:8]}"
    yield [programs.start(name, number, level) for number in range(2)]
    programs.stop_all(name)


@pytest.fixture(scope="session")
def node(two_nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """One node, for tests that leave it as it is."""
    return two_nodes[0]


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    """The real engine on folders of its own."""
    return LocalEngine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(params=["best", pytest.param("plain", marks=pytest.mark.soak)])
def engine_level(request: pytest.FixtureRequest, best_level: str) -> str:
    """The level for a whole life by the engine, which knows of levels nothing but the word: both, with --soak."""
    return best_level if request.param == "best" else str(request.param)


@pytest.fixture
def stack(engine: LocalEngine, engine_level: str) -> Iterator[LocalStack]:
    """A new stack, whose nodes are ended after the test."""
    made = engine.stack(engine_level)
    yield made
    made.remove()


@pytest.fixture
def local_stack(engine: LocalEngine) -> Iterator[Callable[[int, str], ClusterDescription]]:
    """Makes a cluster of N nodes at a level through the engine; its description holds the client's key."""
    made: list[LocalStack] = []

    def make(count: int, level: str) -> ClusterDescription:
        made.append(engine.stack(level))
        made[-1].up([f"n{number}" for number in range(count)])
        return made[-1].describe()

    yield make
    for stack in made:
        stack.remove()


@pytest.fixture(scope="session")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPrograms]:
    """The programs as a user without rights, with a python that this user may read; only where root runs the tests."""
    system = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    switch = shutil.which("setpriv")
    if not system or not switch or os.getuid() != 0:
        pytest.skip("only root can become another user; setpriv and a python outside root's home are needed")
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    yield _as_nobody(folder, system, switch)
    shutil.rmtree(folder)


def _as_nobody(folder: Path, system: str, switch: str) -> LocalPrograms:
    subprocess.run([system, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([str(python), "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    project = next(path for path in sys.path if path.endswith("site-packages"))
    Path(site, "project.pth").write_text(f"import site; site.addsitedir({project!r})\n")
    home = folder / "home"
    home.mkdir()
    shutil.chown(home, 65534, 65534)
    programs = LocalPrograms(home, str(python), (switch, "--reuid=65534", "--regid=65534", "--clear-groups"))
    if programs.call("probe", {"folder": str(home)}).returncode:
        pytest.skip("the system's python cannot run the programs")
    if programs.run("probe", {"folder": str(home)})["level"] != "namespaces":
        pytest.skip("no user namespaces on this machine")
    return programs
