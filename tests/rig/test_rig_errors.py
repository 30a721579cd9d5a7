"""What stands in rig's way: one line that names it and the next step, the right exit code, nothing made."""

import re
from pathlib import Path

import pytest
from rig_clone import Clone, engine_programs, error_line, script

OLD = '#!/bin/sh\n[ "$1" = -c ] && echo 3.9.2\nexit 3\n'
BARE = "#!/bin/sh\nexit 4\n"
SHIM = "#!/bin/sh\necho 'pyenv: python: command not found' >&2\nexit 127\n"
REAL = ""
GO = "#!/bin/sh\necho {version}\necho {toolchain}\n"

# programs on PATH, arguments, exit code, what the error line holds
CASES = {
    "no python": ({}, ["up"], 5, "no working Python on PATH: install Python 3.11"),
    "shims only": ({"python3": SHIM, "python3.12": SHIM}, ["up"], 5, "no working Python on PATH"),
    "old python": ({"python3": OLD}, ["up"], 5, "too old (3.9.2): install Python 3.11 or newer"),
    "python without venv": ({"python3": BARE}, ["up"], 5, "python3-venv"),
    "windows": ({"uname": "#!/bin/sh\necho MINGW64_NT-10.0\n"}, ["up"], 5, "use WSL"),
    "no way to the engine": ({"python3": REAL}, ["up"], 5, "no Go to build it): install Go 1.2"),
    "shim first": ({"python3.13": SHIM, "python3": REAL}, ["up"], 5, "no Go to build it"),
    "old go": ({"python3": REAL, "go": GO.format(version="go1.20.1", toolchain="")}, ["up"], 5, "too old to build"),
    "old go that may not fetch a newer one": (
        {"python3": REAL, "go": GO.format(version="go1.21.1", toolchain="local")}, ["up"], 5, "too old to build",
    ),
    "strategy": ({"python3": REAL}, ["train", "--strategy", "magic"], 2, "unknown strategy 'magic': torchrun,"),
    "strategy with =": ({"python3": REAL}, ["train", "--strategy="], 2, "unknown strategy ''"),
    "no node": ({"python3": REAL}, ["train", "--nodes", "0"], 2, "--nodes '0'"),
    "nodes by another name": ({"python3": REAL}, ["train", "--num-nodes=x"], 2, "--nodes 'x'"),
    "script": ({"python3": REAL}, ["train", "--script", "nope.py", "--", "--script", "rig"], 2, "nope.py is not there"),
    "set": ({"python3": REAL}, ["setup", "jax"], 2, "not 'jax'"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_missing_is_one_line_and_nothing_is_made(clone: Clone, name: str) -> None:
    programs, arguments, code, words = CASES[name]
    for program, text in programs.items():
        clone.python(program, text=text)
    result, out, err = clone.rig(*arguments)
    assert (result, out) == (code, ""), err
    assert words in error_line(err)
    assert not clone.root.joinpath(".venv").exists()
    assert not any(clone.cache.iterdir())


def test_no_network_is_said_and_leaves_no_half_made_environment(clone: Clone) -> None:
    clone.python()
    engine_programs(clone.engine)
    clone.environment.pop("PIP_NO_INDEX")
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_CACHE_DIR": "1"}
    code, _, err = clone.rig("up", **nowhere)
    assert code == 5
    assert "no network" in error_line(err)
    assert [entry.name for entry in clone.root.joinpath(".venv").iterdir()] == [".rig"]


def test_packages_other_than_the_pinned_ones_are_refused(clone: Clone, empty_venv: Path) -> None:
    clone.python()
    clone.empty_venv(empty_venv)
    engine_programs(clone.engine)
    clone.small_packages()
    file = clone.root / "requirements" / "base.txt"
    file.write_text(re.sub("sha256:.{8}", "sha256:00000000", file.read_text()))
    code, _, err = clone.rig("up")
    assert code == 5
    assert "not the pinned ones" in error_line(err)


def test_too_little_disk_is_seen_before_anything_is_got(clone: Clone) -> None:
    said = clone.inside(
        "import pathlib, runpy\n"
        "rig = runpy.run_path('__main__.py', run_name='rig')\n"
        "source = rig['engine'].Source('official', pathlib.Path('/'), '', 10**9)\n"
        "try: rig['check_disk'](['base'], source)\n"
        "except rig['Failure'] as failure: print(failure.code, failure)\n"
    )
    assert said.startswith("5 too little disk: 1000000.")


def test_a_foreign_broken_environment_is_not_touched(clone: Clone) -> None:
    clone.python()
    engine_programs(clone.engine)
    mine = clone.root / ".venv" / "pyvenv.cfg"
    script(mine, "home = /gone\n")
    code, _, err = clone.rig("up")
    assert code == 5
    assert "remove it" in error_line(err)
    assert mine.read_text() == "home = /gone\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_alone_it_says_what_to_do(clone: Clone, arguments: list[str]) -> None:
    code, out, err = clone.rig(*arguments)
    assert (code, err) == (0, "")
    assert "./rig train --nodes 2" in out
    assert not Path(clone.root, ".venv").exists()
