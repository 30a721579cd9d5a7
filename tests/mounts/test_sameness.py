"""What makes a setup run again, and what does not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from skyrig.fleet.content import Entry, Manifest
from skyrig.launch.job import JobRequest, Mount, Scripts
from skyrig.launch.keeper import sameness

SECRET = b"of the cluster"
TREE = {
    "train.py": b"print()\n",
    "requirements.txt": b"-r requirements/base.txt\n# train.py is no requirement\ntorch\n",
    "requirements/base.txt": b"-c limits.txt\nnumpy\n",
    "requirements/limits.txt": b"numpy<3\n",
    "requirements/dev.txt": b"pytest\n",
    "pyproject.toml": b"[project]\n",
    "setup.cfg": b"",
    "uv.lock": b"",
    "environment.yml": b"",
    "Makefile": b"",
    "conf/a b.yaml": b"",
    "scripts/install.sh": b"pip install -r ../requirements.txt\nbash scripts/more.sh\n",
    "scripts/more.sh": b"true\n",
    "pkg/__init__.py": b"",
    "pkg/model.py": b"",
    "pkg/deep/layers.py": b"",
    "libs/core/setup.py": b"",
    "libs/core/src/core/__init__.py": b"",
    "libs/core/src/core/it.py": b"",
    "libs/core/notes.md": b"",
}
REQUIREMENTS = {"requirements.txt", "requirements/base.txt", "requirements/limits.txt"}
PROJECT = {"pyproject.toml", "setup.cfg"}
PACKAGE = {"pkg/__init__.py", "pkg/model.py", "pkg/deep/layers.py"}
CORE = {"libs/core/src/core/__init__.py", "libs/core/src/core/it.py"}

USED: list[tuple[str, set[str]]] = [
    ("", set()),
    ("echo hello", set()),
    ("pip install torch==2.1 numpy>=1", set()),
    ("pip install -r requirements.txt", REQUIREMENTS),
    ("pip install -r ./requirements.txt --no-cache-dir", REQUIREMENTS),
    ("pip install --requirement=requirements.txt", REQUIREMENTS),
    ('pip install -r "$HOME/sky_workdir/requirements.txt"', REQUIREMENTS),
    ("uv pip install -r ~/sky_workdir/requirements.txt", REQUIREMENTS),
    ("# pip install -r requirements.txt\ntrue  # train.py", set()),
    ("cd requirements && pip install -r dev.txt", {"requirements/dev.txt"}),
    ("cat 'conf/a b.yaml'", {"conf/a b.yaml"}),
    ("python train.py --download", {"train.py"}),
    ("bash scripts/install.sh", {"scripts/install.sh", "scripts/more.sh", *REQUIREMENTS}),
    ("pip install -e .", PROJECT),
    ("pip install --editable '.[dev,gpu]'", PROJECT),
    ("pip install .", PROJECT | PACKAGE),
    ("python -m pip install -U .[dev]; echo done", PROJECT | PACKAGE),
    ("pip install -e . ./libs/core", PROJECT | {"libs/core/setup.py"} | CORE),
    ("pip install -e libs/core", {"libs/core/setup.py"}),
    ("cd libs/core; pip install -e .", PROJECT | {"libs/core/setup.py"}),
    ("uv sync --frozen", {"uv.lock", "pyproject.toml"}),
    ("conda env update --prune", {"environment.yml"}),
    ("apt-get install -y make && make deps", {"Makefile"}),
    ("echo 'a makefile' > train.py", set()),
]


def manifest(tree: dict[str, bytes]) -> Manifest:
    entries = [
        Entry(path, "file", 0o644, len(data), hashlib.sha256(data + path.encode()).hexdigest())
        for path, data in tree.items()
    ]
    folders = {path[:at] for path in tree for at in range(len(path)) if path[at] == "/"}
    return Manifest([*entries, *(Entry(folder, "dir", 0o755) for folder in folders)])


def reader(tree: dict[str, bytes]) -> Callable[[str], bytes]:
    by_sha = {hashlib.sha256(data + path.encode()).hexdigest(): data for path, data in tree.items()}
    return by_sha.__getitem__


@pytest.mark.parametrize(("text", "used"), USED, ids=[text for text, _ in USED])
def test_files_that_a_setup_uses(text: str, used: set[str]) -> None:
    assert set(sameness.files_used(text, manifest(TREE), reader(TREE))) == used


def parts(
    text: str = "true $SKYPILOT_SETUP_NODE_IPS", files: dict[str, str] | None = None, **more: Any
) -> dict[str, str]:
    ours = {"SKYPILOT_SETUP_NODE_IPS": "1\n2", "SKYPILOT_NUM_NODES": "2"} | more.pop("ours", {})
    request = JobRequest("job", 1, Scripts({}), **more)
    setup = Scripts({"setup.sh": "of Skyrig", "user.sh": text})
    return sameness.parts(setup, request, ours, files or {"requirements.txt": "1"}, SECRET)


BASE: dict[str, Any] = {"env": {"A": "1"}, "secrets": {"S": "s3cr3t"}, "mounts": (Mount("/data", "d1"),)}

CHANGES: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"force_setup": True}, None),
    ({"env": {"A": "1", "SKYPILOT_TASK_ID": "mine", "SKYRIG_INTERNAL_JOB_ID": "7"}}, None),
    ({"ours": {"SKYPILOT_NUM_NODES": "4"}}, None),
    ({"ours": {"SKYPILOT_SETUP_NODE_IPS": "1\n2\n3"}}, "SKYPILOT_SETUP_NODE_IPS changed"),
    ({"text": "false"}, "its text changed"),
    ({"env": {"A": "2"}}, "A changed"),
    ({"env": {}}, "A is gone"),
    ({"secrets": {"S": "other"}}, "S changed"),
    ({"files": {"requirements.txt": "2"}}, "requirements.txt changed"),
    ({"files": {"requirements.txt": "1", "uv.lock": "1"}}, "uv.lock is new"),
    ({"mounts": (Mount("/data", "d2"),)}, "/data changed"),
    ({"mounts": (Mount("/data", "d1", is_file=True),)}, "/data changed"),
    ({"env": {"A": "2", "B": "", "C": ""}, "mounts": ()}, "A changed, B is new, C is new and 1 more"),
]


@pytest.mark.parametrize(("change", "why"), CHANGES, ids=[str(why) for _, why in CHANGES])
def test_what_changed_is_named(change: dict[str, Any], why: str | None) -> None:
    before = sameness.kept(parts(**BASE))
    assert sameness.difference(before, parts(**{**BASE, **change})) == why


def test_a_setup_that_changed_what_was_brought_runs_again() -> None:
    now = parts(**BASE)
    why = sameness.difference(sameness.kept({**now, **sameness.CHANGES_FILES}), now)
    assert why is not None and "changed while it ran" in why


@pytest.mark.parametrize("before", ["", "5e8a0c" * 10, "[1]", "{"])
def test_where_nothing_is_known_it_runs_and_says_nothing(before: str) -> None:
    """Also where an older Skyrig has kept something else."""
    assert sameness.difference(before, parts(**BASE)) == ""


def test_nothing_that_is_kept_tells_a_secret() -> None:
    kept = sameness.kept(parts(**BASE))
    assert "s3cr3t" not in kept
    assert hashlib.sha256(b"s3cr3t").hexdigest() not in kept
