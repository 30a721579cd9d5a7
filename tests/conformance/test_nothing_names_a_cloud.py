"""No code outside a cloud's own folders names it: what is different about it is a fact, or a field of its line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from user import ROOT

from skyrig.cluster import clouds

CODE = ("skyrig", "components", "stacks", "tools")

THIS_MACHINE = "local is this machine: its nodes are processes here, which are asked without any cloud's API"
STORE = "a store of buckets has its cloud's name; what differs is in data/stores, this is the form of its urls"
SCHEDULER = "not the cloud but the scheduler of that name, a value of the config and of the description"
MAKER = "it makes a Kubernetes cluster of one vendor's, whose facts (types, fabrics) are under that cloud's name"
CONTAINER = "oci is a format of container images too"
ALLOWED = {
    "components/aks/": MAKER,
    "components/eks/": MAKER,
    "components/gke/": MAKER,
    "skyrig/cluster/clouds.py": "the registration itself",
    "skyrig/task/": "SkyPilot's words: names of clouds in task files, and sections of its config",
    "skyrig/launch/environment.py": "SkyPilot's words: its classes of clouds, in SKYPILOT_CLUSTER_INFO",
    "tools/rig/": "names of pip's extras, one a cloud, and what is pinned along with each",
    "skyrig/storage/": STORE,
    "skyrig/cluster/buckets.py": STORE,
    "skyrig/stack/datastacks.py": STORE,
    "skyrig/stack/pending.py": STORE,
    "skyrig/attaching.py": STORE,
    "skyrig/cluster/shape.py": SCHEDULER + "; and " + THIS_MACHINE,
    "skyrig/bringing.py": THIS_MACHINE,
    "skyrig/catalog/refusals.py": THIS_MACHINE,
    "skyrig/cli/": "the collection of verbs `local.*`, for this machine's nodes",
    "skyrig/cluster/sites.py": THIS_MACHINE,
    "skyrig/control/": THIS_MACHINE,
    "skyrig/fitting.py": THIS_MACHINE,
    "skyrig/launch/keeper/caretaker.py": THIS_MACHINE,
    "skyrig/launch/supervisor.py": "a rank on its own node: no cloud",
    "skyrig/local.py": THIS_MACHINE,
    "skyrig/places.py": THIS_MACHINE,
    "skyrig/recovery/tagged.py": THIS_MACHINE,
    "skyrig/rendering.py": THIS_MACHINE,
    "skyrig/seat/": THIS_MACHINE,
    "skyrig/siting.py": THIS_MACHINE,
    "skyrig/stack/autostopped.py": THIS_MACHINE,
    "skyrig/stack/powers.py": THIS_MACHINE,
    "skyrig/stack/status.py": THIS_MACHINE,
    "skyrig/submitting.py": THIS_MACHINE,
}
"""Where a cloud is named all the same, each with its reason."""

WORDS = {"ssh", "oci"}
"""Clouds whose name is a word for much else (oci: what container images are laid out by): they count where something is
compared with them that is called so."""


def named(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a file that name a cloud in quotes, with its name; not what lies in that cloud's own folders."""
    text = path.read_text()
    if not any(f'"{name}"' in text or f"'{name}'" in text for name in clouds.CLOUDS):
        return  # most files: to parse them all takes seconds
    tree = ast.parse(text)
    others = {name for name in clouds.CLOUDS if clouds.folder(name) not in path.relative_to(ROOT).parts}
    compared = {
        id(constant)
        for each in ast.walk(tree)
        if isinstance(each, ast.Compare) and "cloud" in ast.unparse(each)
        for constant in ast.walk(each)
    }
    for each in ast.walk(tree):
        name = each.value if isinstance(each, ast.Constant) and isinstance(each.value, str) else ""
        if name in others and (name not in WORDS or id(each) in compared):
            yield each.lineno, name


@pytest.fixture(scope="module")
def found() -> dict[str, list[tuple[int, str]]]:
    """All that is named, by file."""
    files = [path for room in CODE for path in (ROOT / room).rglob("*.py")]
    return {str(path.relative_to(ROOT)): lines for path in sorted(files) if (lines := list(named(path)))}


def test_no_code_names_a_cloud_but_where_there_is_a_reason(found: dict[str, list[tuple[int, str]]]) -> None:
    wrong = {path: lines for path, lines in found.items() if not path.startswith(tuple(ALLOWED))}
    assert wrong == {}


def test_every_reason_is_still_needed(found: dict[str, list[tuple[int, str]]]) -> None:
    assert [place for place in ALLOWED if not any(path.startswith(place) for path in found)] == []


def test_what_is_there_for_this_machine_names_no_other_cloud(
    found: dict[str, list[tuple[int, str]]],
) -> None:
    for path, lines in found.items():
        reason = next((why for place, why in ALLOWED.items() if path.startswith(place)), "")
        if reason == THIS_MACHINE:
            assert {name for _, name in lines} == {"local"}, path


def test_a_name_in_code_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "aws").mkdir()
    text = 'if cloud == "aws":\n    x = f["ssh"]\nif cloud in ("ssh",):\n    pass\n'
    for file in (tmp_path / "a.py", tmp_path / "aws" / "a.py"):
        file.write_text(text)
    assert list(named(tmp_path / "a.py")) == [(1, "aws"), (3, "ssh")]
    assert list(named(tmp_path / "aws" / "a.py")) == [(3, "ssh")]
