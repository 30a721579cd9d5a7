"""Fixtures of the tests on foreign machines. What they need of this machine is said in one line where it is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from foreign_nodes import SSHD, Lab, Machine, Python, pythons

from skyrig.errors import SkyrigError
from skyrig.launch.runtime import sources
from skyrig.launch.runtime.sending import Runtime

NOISE = "echo welcome to this machine; echo and a word on stderr >&2\n"


@pytest.fixture(scope="session")
def old_pythons() -> list[Python]:
    """Pythons as a foreign machine may have: 3.9, and 3.8 and 3.10 where they are."""
    if os.getuid() != 0 or not Path("/proc/self/ns/net").exists():
        pytest.skip("foreign nodes need root on Linux")
    missing = [name for name in ("unshare", "nsenter", "ip") if shutil.which(name) is None]
    if SSHD is None or missing:
        pytest.skip(f"not on this machine: {', '.join([*missing, *([] if SSHD else ['sshd'])])}")
    found = pythons("3.9", "3.8", "3.10")
    if not found:
        pytest.skip("no Python 3.8, 3.9 or 3.10 on PATH or of pyenv's")
    return list(found.values())


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """This client's runtime for this machine's heads, in the cache: a lab has no way to where its parts come from."""
    platform = sources.PLATFORMS.get(os.uname().machine)
    if platform is None:
        pytest.skip(f"there is no runtime for {os.uname().machine}")
    wanted = Runtime(platform)
    try:
        for name in (wanted.python, wanted.packages):
            wanted.get(name, print)
    except SkyrigError as error:
        pytest.skip(f"no runtime: {error}")
    return wanted


@pytest.fixture(scope="session")
def unpacked(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the layers that are the same in all versions."""
    folder = tmp_path_factory.mktemp("layers")
    for name in (runtime.python, runtime.packages):
        (folder / name).mkdir()
        with tarfile.open(runtime.get(name, print).path) as tar:
            tar.extractall(folder / name, filter="tar")
    imported = "asyncssh, cattrs, jinja2, tenacity, logging, sqlite3, importlib.resources"
    program = [str(folder / runtime.python / "bin" / "python3.11"), "-c", f"import {imported}"]
    subprocess.run(program, env={"PYTHONPATH": str(folder / runtime.packages)}, check=True)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SKYRIG_HOME of the test's own."""
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "skyrig"))
    return tmp_path / "skyrig"


@pytest.fixture
def lab_of(
    request: pytest.FixtureRequest, old_pythons: list[Python], runtime: Runtime, home: Path, tmp_path: Path
) -> Iterator[Callable[..., Lab]]:
    """Makes a lab with a head as `Machine`'s other arguments say, and enters its network for the rest of the test.
    `seed` puts the layers on the head that are the same in all versions, which saves seconds."""
    with ExitStack() as stack:

        def make(*, seed: bool = False, **head: object) -> Lab:
            (tmp_path / "lab").mkdir()
            made = Lab(tmp_path / "lab", [Machine("n0", old_pythons[0], **head)])  # type: ignore[arg-type]
            stack.callback(made.close)
            if seed:
                made.head.path(".skyrig").mkdir(mode=0o700)
                copy = made.head.path(".skyrig/layers")
                subprocess.run(["cp", "-a", str(request.getfixturevalue("unpacked")), str(copy)], check=True)
            stack.enter_context(made.entered())
            return made

        yield make


@pytest.fixture(scope="module")
def lab(old_pythons: list[Python], runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three machines that know nothing of Skyrig: root with a home with a space and a noisy bash, a fresh user with a
    umask of 077, and root with another Python."""
    pick = [old_pythons[index % len(old_pythons)] for index in range(3)]
    bash = shutil.which("bash", path="/bin:/usr/bin") or "/bin/sh"
    machines = [
        Machine("n0", pick[0], shell=bash, files={".bashrc": NOISE}),
        Machine("n1", pick[1], user="sky", home="/home/sky"),
        Machine("n2", pick[2], home="/home/somewhere else", shell=bash, files={".bashrc": NOISE}),
    ]
    made = Lab(tmp_path_factory.mktemp("lab"), machines)
    yield made
    made.close()
