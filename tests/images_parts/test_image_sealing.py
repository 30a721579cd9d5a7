"""The script that seals a builder, run for real on a machine that is made up: an overlay over this one's files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from skyrig.images import sealing

HERE = Path(__file__).parent
KEPT = {"home/ubuntu/.skyrig/runtime", "home/ubuntu/.skyrig/setup.json", "home/ubuntu/venv/kept", "var/log/apt/h.log"}
OTHERS = {
    "aws": {"etc/instance_id", "var/lib/waagent/ovf"},
    "gcp": {"var/lib/amazon/ssm/i-0123", "var/lib/waagent/ovf"},
    "azure": {"etc/instance_id", "var/lib/amazon/ssm/i-0123"},
}
"""What is another cloud's, and left alone."""


def run(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a mount namespace of its own."""
    words = ["unshare", "--mount", "--propagation", "private", "bash", str(HERE / "sealed_root.sh"), str(folder)]
    return subprocess.run([*words, str(script)], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the made-up machine is; the test is skipped where there can be none."""
    probe = tmp_path / "probe"
    probe.mkdir()
    (tmp_path / "nothing").write_text("echo here\n")
    if os.getuid() != 0 or shutil.which("unshare") is None or "here" not in run(tmp_path / "nothing", probe).stdout:
        pytest.skip("no overlay can be mounted here, over which a machine could be made up")
    made = tmp_path / "machine"
    made.mkdir()
    return made


@pytest.mark.parametrize("cloud", sealing.clouds())
def test_what_is_this_machines_own_goes_and_the_recipes_work_stays(cloud: str, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "seal").write_text(sealing.text(cloud))
    done = run(tmp_path / "seal", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines.count("seal: done") == 2, "it can be done again"
    there = {line.removeprefix("there ") for line in lines if line.startswith("there ")}
    assert there == KEPT | OTHERS[cloud]
    assert "machine-id 0, log 0" in lines
    assert "cloud-init clean --logs --seed" in lines and "systemctl disable skyrig-expire.timer" in lines
    assert ("waagent -force -deprovision" in lines) == (cloud == "azure")
    assert Path("/etc/machine-id").stat().st_size > 0 or not Path("/etc/machine-id").exists(), "and this one is whole"
