"""The pinned requirement files: whole, small, in step with pyproject.toml, and naming nobody's registry."""

import csv
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from rig_clone import ROOT

SETS = (
    "base",
    "dev",
    "torch",
    "accelerate",
    "deepspeed",
    "ray",
    "aws",
    "gcp",
    "azure",
    "oci",
    "nebius",
    "kubernetes",
    "lora",
    "lightning",
    "serve",
    "wandb",
    "postgres",
)
MOST_PACKAGES = 45
MOST_MB = 100


def pins(name: str) -> list[Requirement]:
    """The pinned distributions of a set, each with its marker."""
    text = ROOT.joinpath("requirements", f"{name}.txt").read_text()
    found = re.findall(r"^([a-z0-9].*?) \\$", text, re.MULTILINE)
    assert len(found) == text.count("==") - len(re.findall(r";.*==", text)) or name != "base"
    return [Requirement(line) for line in found]


def here(name: str) -> dict[str, str]:
    """Distribution -> version, of those that this machine and Python need."""
    chosen = [pin for pin in pins(name) if pin.marker is None or pin.marker.evaluate()]
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in chosen}


@pytest.mark.parametrize("name", SETS)
def test_every_line_is_pinned_with_hashes_and_names_no_registry(name: str) -> None:
    text = ROOT.joinpath("requirements", f"{name}.txt").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==\S+", entry) and "--hash=sha256:" in entry, entry
    assert "://" not in text
    assert not re.search(r"^\s*-", re.sub(r"^\s*--hash=.*$", "", text, flags=re.MULTILINE), re.MULTILINE)


@pytest.mark.parametrize("name", SETS)
def test_the_files_are_in_step_with_pyproject(name: str) -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())
    parts = project["project"]["optional-dependencies"] | project["dependency-groups"]
    wanted = project["project"]["dependencies"] if name == "base" else parts[name]
    have = here(name)
    for requirement in map(Requirement, wanted):
        if requirement.marker and not requirement.marker.evaluate():
            continue
        version = have[requirement.name.lower().replace(".", "-").replace("_", "-")]
        assert requirement.specifier.contains(version, prereleases=True), (requirement, version)


def test_sets_never_disagree() -> None:
    seen: dict[str, str] = {}
    for name in SETS:
        for distribution, version in here(name).items():
            assert seen.setdefault(distribution, version) == version


def test_base_is_small() -> None:
    names = {pin.name for pin in pins("base")}
    assert len(names) < MOST_PACKAGES
    assert not names & {"torch", "numpy", "pydantic", "deepspeed", "accelerate", "boto3", "setuptools"}


def test_base_takes_little_room() -> None:
    total = 0
    for distribution in here("base"):
        found = metadata.distribution(distribution)
        record = found.read_text("RECORD")
        assert record, distribution
        total += sum(int(size or 0) for path, _, size in csv.reader(record.splitlines()) if not path.endswith(".pyc"))
    assert total / 1_000_000 < MOST_MB


def test_ci_runs_the_readmes_command() -> None:
    text = Path(ROOT, ".ci", "run").read_text()
    assert text.rstrip().endswith("exec ./rig test")
