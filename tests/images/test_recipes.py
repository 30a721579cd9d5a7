"""Recipes: what is asked for, what runs for it, and what is wrong told with its place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from skyrig.errors import BadInput
from skyrig.images import recipe
from skyrig.images.recipe import Recipe

GOOD = """\
base: ami-0abc
driver: 580
cuda: "13.0"
fabric: gpudirect
packages: [build-essential, "libfoo-dev=1.2"]
python: {lock: requirements.lock, place: ~/env, program: python3.12}
envs: {MODE: fast}
resources: {infra: aws/us-east-1, instance_type: g6.xlarge}
setup: |
  make -C /opt/kernels
"""
LOCKED = "six==1.17.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\nattrs==25.1.0 --hash=sha256:cc\n"

WRONG = {
    "driver: newest": "1:1: driver: 'newest': a branch of NVIDIA's driver is wanted",
    "cuda: 13": "1:1: cuda: 13: a version of CUDA is wanted",
    "\nfabric: efo": "2:1: fabric: 'efo' is none of efa, gpudirect; did you mean efa?",
    "packages: [a; rm -rf /]": "packages[0]: 'a; rm -rf /': the name of a package is wanted",
    "python: {place: ~/x}": "1:1: python: lock is wanted",
    "python: nowhere.lock": "nowhere.lock: cannot be read: No such file",
    "python: loose.lock": "loose.lock:2: six==1.17.0 has no --hash",
    "python: nested.lock": "nested.lock:1: -r names another file",
    "python: {lock: requirements.lock, place: '~/$(id)'}": "1:35: python.place: '~/$(id)': a folder is wanted",
    "base: skyrig:Big": "base: skyrig:Big: small letters, digits",
    "run: echo": "1:1: run: unknown field",
    "setups: x": "1:1: setups: unknown field; did you mean setup?",
    "- a": "a mapping of fields is wanted at the top|one mapping of fields is wanted",
    "resources: {cpus: many}": "1:13: resources.cpus",
}


def read(folder: Path, text: str) -> Recipe:
    (folder / "requirements.lock").write_text(LOCKED)
    (folder / "loose.lock").write_text("# made by hand\nsix==1.17.0\n")
    (folder / "nested.lock").write_text("-r other.lock\n")
    (folder / "recipe.yaml").write_text(text)
    return recipe.read(folder / "recipe.yaml")[0]


def test_all_that_one_can_say(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    task, texts = found.builder(), found.texts()
    asked = task.resources
    assert (asked.infra.cloud, asked.instance_type, asked.network_tier) == ("aws", "g6.xlarge", "best")
    assert asked.image is not None and asked.image.by_region == {"us-east-1": "ami-0abc"}
    assert not task.mounts.copies, "a mount would be a part of the setup, which no task has"
    assert f"\n{LOCKED}SKYRIG_LOCK_ENDS\n" in texts["python"]
    assert (task.setup, dict(task.env)) == ("make -C /opt/kernels\n", {"MODE": "fast"})
    assert list(texts) == ["driver", "cuda", "packages", "python"], (
        "gpudirect comes with Skyrig's own boot of the builder"
    )
    assert "branch=580" in texts["driver"] and "version=13.0" in texts["cuda"]
    assert 'place="$HOME"/env' in texts["python"] and "python=python3.12" in texts["python"]
    assert "build-essential libfoo-dev=1.2" in texts["packages"]
    assert list(found.texts(devices=False)) == ["packages", "python"] and found.devices == ["driver", "cuda", "fabric"]


def test_every_field_is_optional(tmp_path: Path) -> None:
    found = read(tmp_path, "setup: echo\n")
    assert (found.texts(), found.devices, found.builder().mounts.copies) == ({}, [], {})


@pytest.mark.parametrize("text", WRONG, ids=str)
def test_what_is_wrong_is_told_with_its_place(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as told:
        read(tmp_path, text)
    assert any(each in told.value.message for each in WRONG[text].split("|")), told.value.message
    assert told.value.message.startswith(str(tmp_path / "recipe.yaml")) and "\n" not in told.value.message


def test_texts_are_shell(tmp_path: Path) -> None:
    """Shellcheck has nothing against what is rendered."""
    texts = read(tmp_path, GOOD.replace("gpudirect", "efa")).texts()
    assert list(texts) == ["driver", "cuda", "fabric", "packages", "python"]
    for name, text in texts.items():
        (tmp_path / f"{name}.sh").write_text("#!/bin/bash\n" + text)
    scripts = [str(tmp_path / f"{name}.sh") for name in texts]
    done = subprocess.run(["shellcheck", "-e", "SC1091", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
