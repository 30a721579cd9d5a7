"""Scripts of parts and of sealing, against golden files that shellcheck has nothing to say of.

SKYRIG_UPDATE_GOLDEN=1 writes them anew, for review."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skyrig import places
from skyrig.catalog import facts
from skyrig.errors import BadInput
from skyrig.images import parts, sealing

GOLDEN = Path(__file__).parent / "golden"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
CLOUDS = ("aws", "gcp", "azure")
SCRIPTS = {
    **{part.name: parts.text(part.name, cloud=(part.clouds or CLOUDS)[0]) for part in parts.known()},
    "nvidia-driver-595": parts.text("nvidia-driver", "595", cloud="aws"),
    **{f"seal-{cloud}": sealing.text(cloud) for cloud in sealing.clouds()},
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_golden(name: str) -> None:
    file = GOLDEN / f"{name}.sh"
    if os.environ.get("SKYRIG_UPDATE_GOLDEN") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(SCRIPTS[name])
    assert SCRIPTS[name] == file.read_text()


def test_every_golden_file_is_of_a_script_and_every_builder_is_sealed() -> None:
    assert sorted(file.stem for file in GOLDEN.glob("*.sh")) == sorted(SCRIPTS)
    assert set(sealing.clouds()) == set(CLOUDS)


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    files = list((places.shipped() / "templates" / "images").glob("*/seal.sh"))
    for name, text in SCRIPTS.items():
        (tmp_path / f"{name}.sh").write_text(text)
        files.append(tmp_path / f"{name}.sh")
    done = subprocess.run([SHELLCHECK, *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_a_fabric_pins_is_what_its_boot_uses() -> None:
    said = facts.of("gcp", "fabric")
    for name, fabric in (("gpudirect-tcpx", "tcpx"), ("gpudirect-tcpxo", "tcpxo")):
        for image in (said[fabric]["plugin_image"], said[fabric]["daemon_image"]):
            assert f"docker pull --quiet {image}" in SCRIPTS[name]
    assert all(package in SCRIPTS["gpudirect-rdma"] for package in said["rdma"]["packages"])
    assert ("dkms install" in SCRIPTS["gpudirect-tcpxo"], "dkms" in SCRIPTS["gpudirect-tcpx"]) == (True, False)


def test_parts_come_in_their_order_and_for_their_cloud() -> None:
    assert [part.name for part in parts.ordered(["efa", "cuda-toolkit", "efa", "nvidia-driver"], "aws")] == [
        "nvidia-driver", "cuda-toolkit", "efa",
    ]  # fmt: skip
    assert "efa" not in [part.name for part in parts.known("gcp")]


def test_a_user_runs_one_as_root_and_its_commands_do_not_read_it(tmp_path: Path) -> None:
    """A script whose commands read their input is whole all the same, and its code is told."""
    (tmp_path / "sudo").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    (tmp_path / "sudo").chmod(0o755)
    text = parts.for_user('cat >/dev/null\necho "it\'s $0" | grep -c tmp\nexit 7\n')
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", text], input="more", env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (7, "1\n"), done.stderr


@pytest.mark.parametrize(
    ("there", "said"),
    [("1.50.0", "efa: 1.50.0 is there"), ("1.48.0", "efa: 1.48.0 is there"), ("1.9.3", "installs"), ("", "installs")],
)
def test_a_newer_efa_of_the_base_image_stays(there: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 0\n")
    (tmp_path / "id").chmod(0o755)
    (tmp_path / "os").write_text("ID=ubuntu\nVERSION_ID=24.04\n")
    if there:
        (tmp_path / "efa_installed_packages").write_text(f"# EFA installer version: {there}\n# Debug packages: no\n")
    text = SCRIPTS["efa"].partition("installed curl")[0] + "echo installs\n"
    text = text.replace("/opt/amazon", str(tmp_path)).replace("/etc/os-release", str(tmp_path / "os"))
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", text], env={"PATH": path}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{said}\n"), done.stderr


@pytest.mark.parametrize(
    ("name", "version", "cloud", "said"),
    [
        ("nvidia-drivr", "", "aws", "there is no part nvidia-drivr"),
        ("efa", "", "gcp", "efa is for aws, and not for gcp"),
        ("efa", "1.0; rm -rf /", "aws", "is no version"),
        ("gpudirect-tcpx", "3", "gcp", "versions of its fabric"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, version: str, cloud: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parts.text(name, version, cloud=cloud)


def test_a_cloud_without_images_has_nothing_to_seal() -> None:
    with pytest.raises(BadInput, match="no machine images are made on lambda"):
        sealing.text("lambda")
