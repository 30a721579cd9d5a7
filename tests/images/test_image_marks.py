"""A setup that is in an image does not run on nodes that begin with it: a real keeper reads the mark that a builder's
keeper has written and the program for builders has sealed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from keeper_cluster import KeeperCluster, until

from skyrig.launch import nodeside
from skyrig.launch.keeper import marks

SETUP: dict[str, Any] = {
    "files": {"setup.sh": 'bash "$SKYRIG_RANK_DIR/user.sh"', "user.sh": "echo ran >> ~/ran; echo $SIZE"},
    "entry": "setup.sh",
}
GIVEN = {"env": {"SIZE": "7"}, "secrets": {"TOKEN": "correct horse"}}


def run(cluster: KeeperCluster, **more: Any) -> tuple[str, str]:
    """A job with this setup: how it ended, and its log."""
    request = {**cluster.request("true"), "setup": SETUP, **more}
    record = cluster.ended(cluster.ask(op="submit", request=request)["record"]["id"])
    return str(record["status"]), cluster.log(record["id"]).read_text()


def seal(home: Path, **more: Any) -> str:
    """Run the program for builders on a node; what it said."""
    given = {"secrets": ["TOKEN"], "script": "", "forget": False, "patience_s": 5.0, **more}
    _, stdin = nodeside.program("sealing", given)
    script = "import json,sys; m=json.loads(sys.stdin.buffer.readline()); exec(m['program'],{'given':m['given']})"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        input=stdin, env={"HOME": str(home), "PATH": os.defpath}, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.decode()


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a builder remembers of its setup, sealed."""
    builder = KeeperCluster(tmp_path_factory.mktemp("b"), 1)
    try:
        assert run(builder, **GIVEN)[0] == "SUCCEEDED"
        file = builder.nodes[0].home / ".skyrig" / "setup.json"
        until(file.exists, "the builder remembers")
        assert seal(builder.nodes[0].home) == "sealed\n"
        return Path(shutil.copy(file, tmp_path_factory.mktemp("sealed")))
    finally:
        builder.close()


def test_nothing_of_a_secret_is_in_it(sealed: Path) -> None:
    mark = marks.parsed(sealed.read_bytes())
    assert mark is not None and mark.is_of_image
    assert sorted(mark.parts) == ["text:", "variable:SIZE"]


def test_setup_is_skipped_on_a_node_of_the_image_alone(sealed: Path, own_cluster: KeeperCluster) -> None:
    """n1 begins with the image, the head does not; then a variable is another one."""
    shutil.copy(sealed, own_cluster.nodes[1].home / ".skyrig" / "setup.json")
    ended, log = run(own_cluster, env=GIVEN["env"], secrets={"TOKEN": "battery staple"})
    assert ended == "SUCCEEDED" and "setup skipped on n1: nothing changed" in log
    assert [(node.home / "ran").exists() for node in own_cluster.nodes] == [True, False]
    ended, log = run(own_cluster, env={"SIZE": "8"}, secrets=GIVEN["secrets"])
    assert ended == "SUCCEEDED" and "setup runs again" in log and "SIZE changed" in log
    mark = marks.parsed((own_cluster.nodes[1].home / ".skyrig" / "setup.json").read_bytes())
    assert mark is None or not mark.is_of_image, "a setup that ran since is what the node remembers"


def test_a_setup_that_differs_by_node_is_forgotten(sealed: Path, tmp_path: Path) -> None:
    (tmp_path / ".skyrig").mkdir()
    shutil.copy(sealed, tmp_path / ".skyrig" / "setup.json")
    assert seal(tmp_path) == seal(tmp_path) == "sealed\n"
    assert json.loads((tmp_path / ".skyrig" / "setup.json").read_text())["life"] == marks.IMAGE
    assert seal(tmp_path, forget=True) == "sealed\n"
    assert not (tmp_path / ".skyrig" / "setup.json").exists()
    assert seal(tmp_path, patience_s=0.01) == "sealed, with no setup\n" and seal(tmp_path, patience_s=0) == "sealed\n"
