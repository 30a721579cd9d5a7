"""What is rendered, compared with files that a person has read. SKYRIG_UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from render_cases import CASES, HERE, rendered

from skyrig.launch import nodeside
from skyrig.launch.render import TEMPLATES

UPDATE = os.environ.get("SKYRIG_UPDATE_GOLDEN") == "1"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_rendered_files_are_the_golden_ones(case: Path) -> None:
    golden = HERE / "golden" / case.stem
    files = {name: text.encode(errors="surrogateescape") for name, text in rendered(case).files.items()}
    assert files.pop("fabric.py", None) in (None, nodeside.fabric().encode())
    for name in [name for name in files if name.endswith(".py") or "/" in name]:
        copied = name if name.endswith(".py") else f"shims/{name.partition('/')[2]}"
        assert files.pop(name) == (TEMPLATES / copied).read_bytes()
    if UPDATE:
        shutil.rmtree(golden, ignore_errors=True)
        golden.mkdir(parents=True)
        for name, content in files.items():
            (golden / name).write_bytes(content)
    assert {path.name: path.read_bytes() for path in golden.iterdir()} == files


def test_no_golden_folder_is_without_its_case() -> None:
    assert sorted(path.name for path in (HERE / "golden").iterdir()) == [case.stem for case in CASES]


def test_shellcheck_finds_nothing_in_our_files(tmp_path: Path) -> None:
    ours = []
    for case in CASES:
        for name, text in rendered(case).files.items():
            if name.endswith(".sh") and name != "user.sh":
                ours.append(tmp_path / f"{case.stem}-{name}")
                ours[-1].write_bytes(text.encode(errors="surrogateescape"))
    ours += sorted((TEMPLATES / "shims").iterdir())
    checked = subprocess.run([SHELLCHECK, "--severity=style", *ours], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
