"""What jobs are told of the network on nodes of many kinds."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import node_trees
import pytest

from skyrig.launch.render import TEMPLATES
from skyrig.preflight import adapters, fabric

WITH = [case for case in node_trees.CASES if "told" in node_trees.read(case)]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path) -> Iterator[None]:
    """The folder of the case in the place of this machine."""
    adapters.look_at(str(tmp_path))
    yield
    adapters.look_at("")


@pytest.mark.parametrize("case", WITH, ids=lambda case: case.stem)
def test_what_is_there_is_told(case: Path, tmp_path: Path) -> None:
    said = node_trees.read(case)
    node_trees.build(tmp_path, said)
    told = fabric.told(said["given"])
    assert told.found == said["told"]
    assert told.dropped == said.get("dropped", [])
    assert bool(told.warning) == ("warned" in said)
    assert said.get("warned", "") in told.warning


@pytest.mark.parametrize("word", ["mine", ""])
@pytest.mark.parametrize("case", WITH, ids=lambda case: case.stem)
def test_what_the_user_says_stays(case: Path, word: str, tmp_path: Path) -> None:
    said = node_trees.read(case)
    node_trees.build(tmp_path, said)
    theirs = {name: word for name in said["told"] if not name.startswith("SKYRIG_")}
    told = fabric.told({**said["given"], **theirs, "SKYRIG_FABRIC_ENV": ""})
    assert not [name for name in (*told.found, *told.dropped) if not name.startswith("SKYRIG_")]


@pytest.mark.parametrize("own", [{"NCCL_IB_DISABLE": "1"}, {"NCCL_NET": "Socket"}])
def test_who_does_without_the_fabric_is_not_warned(own: dict[str, str]) -> None:
    assert fabric.told({"SKYRIG_FABRIC": "infiniband"}).warning
    assert not fabric.told({"SKYRIG_FABRIC": "infiniband", **own}).warning


def test_ucx_is_told_where_there_is_an_mpi(tmp_path: Path) -> None:
    node_trees.build(tmp_path, {"rdma": [{"names": ["mlx5_0"]}], "files": [{"name": "bin/mpirun"}]})
    (tmp_path / "bin" / "mpirun").chmod(0o755)
    given = {"SKYRIG_FABRIC": "infiniband", "PATH": f"/nowhere:{tmp_path}/bin"}
    assert fabric.told(given).found["UCX_NET_DEVICES"] == "mlx5_0:1"
    assert "UCX_NET_DEVICES" not in fabric.told({**given, "UCX_TLS": "tcp"}).found
    assert "UCX_NET_DEVICES" not in fabric.told({**given, "PATH": "/nowhere"}).found


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [("", True), ("mlx5", True), ("mlx5_1", True), ("=mlx5_1", False), ("=mlx5_10:1", True), ("=mlx5_10:2", False),
     ("^mlx5_10", False), ("^=mlx5_1", True), ("^mlx5_0", True), ("ibp,mlx5_10", True)],
)  # fmt: skip
def test_ports_are_taken_as_nccl_takes_them(wanted: str, taken: bool) -> None:
    assert fabric.takes(wanted, {"name": "mlx5_10", "port": 1}) == taken


def test_the_script_does_what_is_told(tmp_path: Path) -> None:
    told = fabric.Telling({"SKYRIG_FABRIC_ENV": "FI_PROVIDER", "SKYRIG_FABRIC": "efa", "FI_PROVIDER": "efa"})
    told.tell("ODD", "=a,b;c:1-2 it's $HOME `and`")
    told.drop("FI_PROVIDER")
    told.missing("this node has none")
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\necho -I rm; echo hello\ncat <<'END'\n{fabric.orders(told)}END\n")
    python.chmod(0o755)
    script = (TEMPLATES / "network.sh.j2").read_text() + 'printf "%s|%s" "$ODD" "${FI_PROVIDER-none}"'
    env = {"FI_PROVIDER": "efa", "PATH": f"{python.parent}:/usr/bin:/bin", "SKYRIG_RANK_DIR": str(tmp_path)}
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, env=env)
    assert done.stdout == "=a,b;c:1-2 it's $HOME `and`|none"
    assert done.stderr == f"[skyrig] {told.warning}\n"


def test_a_shell_can_evaluate_it_too() -> None:
    told = fabric.Telling({"SKYRIG_FABRIC_ENV": "FI_PROVIDER", "FI_PROVIDER": "efa"})
    told.tell("ODD", "it's $HOME `and`")
    told.drop("FI_PROVIDER")
    told.missing("this node has none")
    script = f'{fabric.shell(told)}printf "%s|%s" "$ODD" "${{FI_PROVIDER-none}}"'
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, env={"FI_PROVIDER": "efa"})
    assert (done.stdout, done.stderr) == ("it's $HOME `and`|none", f"[skyrig] {told.warning}\n")
