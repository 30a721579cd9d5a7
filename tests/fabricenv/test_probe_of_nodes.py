"""What the probe finds on machines of many kinds, as they look to a program that reads them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import node_trees
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "foreign"))
from foreign_nodes import pythons

from skyrig.launch import nodeside
from skyrig.preflight import probe
from skyrig.preflight.findings import BadFindings, Findings


def looked(root: Path | str, patience_s: float | None = None, path: str | None = None) -> Findings:
    """What the program that goes to nodes says of a folder; python3 is looked for on `path`."""
    command, stdin = nodeside.probe(str(root), patience_s)
    env = {**os.environ, **({"PATH": path, "HOME": "/nowhere"} if path else {})}
    done = subprocess.run(["/bin/sh", "-c", command], input=stdin, capture_output=True, timeout=60, env=env)
    assert done.stderr == b""
    return Findings.read(done.stdout.decode())


def summary(found: Findings) -> dict[str, Any]:
    """What cases speak of."""
    return {
        "gpus": len(found.gpus),
        "on_bus": found.on_bus,
        "efa": len(found.efa),
        "efa_works": sum(each.works for each in found.efa),
        "ib": len(found.ib),
        "rails": len(found.rails),
        "nics": [each.name for each in found.nics],
        "nvlinks": min((gpu.nvlinks for gpu in found.gpus), default=0),
        "links": [gpu.nvlinks for gpu in found.gpus],
        "ecc": [gpu.ecc_uncorrected for gpu in found.gpus],
        "throttled": [list(gpu.throttled) for gpu in found.gpus],
        "accelerators": [f"{each.kind} {each.name}" for each in found.accelerators],
        "driver": found.driver,
        "cuda": found.cuda,
        "nccl": found.nccl,
        "problems": list(found.problems),
    }


@pytest.mark.parametrize("case", node_trees.CASES, ids=lambda case: case.stem)
def test_what_is_there_is_found(case: Path, tmp_path: Path) -> None:
    said = node_trees.read(case)
    node_trees.build(tmp_path, said)
    found = summary(looked(tmp_path, said.get("patience_s")))
    assert {name: found[name] for name in said["has"]} == said["has"]


def test_a_file_system_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    back, real = threading.Event(), os.statvfs

    def ask(place: str) -> os.statvfs_result:
        if place == "/dev/shm":
            back.wait(60)
        return real(place)

    monkeypatch.setattr(probe, "_DISK_S", 0.2)
    monkeypatch.setattr(os, "statvfs", ask)
    node = probe.Node(1.0)
    assert "/dev/shm" not in [disk["mount"] for disk in probe._disks(node)]
    assert node.problems == ["/dev/shm did not answer within 0.2 s"]
    back.set()


def test_this_machine_answers() -> None:
    found = looked("")
    assert found.hostname and found.clock > 1.7e9
    assert any(disk.mount == "/" and disk.total_gb > 0 for disk in found.disks)
    assert Findings.from_json(found.to_json()) == found


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_any_python_of_a_node_will_do(tmp_path: Path, version: str) -> None:
    found = pythons(version)
    if not found:
        pytest.skip(f"no Python {version} on PATH or of pyenv's")
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "python3").symlink_to(found[version].program)
    case = next(case for case in node_trees.CASES if case.stem == "ndh100v5")
    node_trees.build(tmp_path / "node", node_trees.read(case))
    assert len(looked(tmp_path / "node", path=f"{tmp_path}/first:/usr/bin:/bin").rails) == 8
    program = [str(tmp_path / "first" / "python3"), "-I", "-S", "-c", nodeside.fabric()]
    env = {"SKYRIG_NODE_ADDRESS": "127.0.0.1", "SKYRIG_FABRIC": "roce"}
    done = subprocess.run(program, capture_output=True, text=True, env=env)
    assert (done.returncode, done.stderr) == (0, "") and "no RoCE port" in done.stdout


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("", "nothing at all"),
        ("motd\n-bash: python3: command not found\n", "python3: command not found"),
        ('{"version": 1, "hostname": "a"', "cut off"),
        ('{"version": 2}', "version 2"),
        ('{"version": 1, "hostname": "a", "kernel": "6"}', "clock"),
        ('{"version": 1, "hostname": "a", "kernel": "6", "clock": 1, "gpus": [{"index": "x"}]}', "gpus"),
    ],
)
def test_what_is_no_findings_says_why(said: str, names: str) -> None:
    with pytest.raises(BadFindings, match=names):
        Findings.read(said)
