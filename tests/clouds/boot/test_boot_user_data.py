"""User data of nodes: compared with files that a person has read (SKYRIG_UPDATE_GOLDEN=1 writes them anew), with
cloud-init's own rules, and with what programs say that read parts of it."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from boot_cases import CASES, CLIENT, HERE, HOST_PRIVATE, HOST_PUBLIC, args, document, programs, written

from components.boot import user_data
from components.describe import USER
from skyrig.fleet.pace import HANDSHAKES
from skyrig.fleet.pool import SESSIONS

UPDATE = os.environ.get("SKYRIG_UPDATE_GOLDEN") == "1"
MOST_BYTES = 16384
"""What AWS takes, before it is written in base64; Google Cloud and Azure take more."""
MOST_THERE = {"oci": 24_000}
"""Where more is needed and taken: Oracle Cloud's metadata has 32,000 bytes, in base64."""
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
TEMPLATES = HERE.parents[2] / "templates" / "cloud-init"

FULLEST = [HERE / "cases" / f"{name}.json" for name in ("aws-p5", "aws-container", "gcp-l4")]
"""Cases that have, together, everything that the template can say."""

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)


@each_case
def test_user_data_is_the_golden_one(case: Path) -> None:
    """Programs are files of their own: copies of ours byte for byte, but what is rendered."""
    text = user_data(args(case, "HOST-PRIVATE", "HOST-PUBLIC", "CLIENT"))
    files = {name: body for name, body in programs(case).items() if not _copied(case, name, body)}
    files["user-data.yaml"] = re.sub(r"(encoding: gz\+b64\n    content: ).+", r"\1PROGRAM", text)
    golden = HERE / "golden" / case.stem
    if UPDATE:
        shutil.rmtree(golden, ignore_errors=True)
        golden.mkdir(parents=True)
        for name, body in files.items():
            (golden / name).write_text(body)
    assert {path.name: path.read_text() for path in golden.iterdir()} == files


def _copied(case: Path, name: str, body: str) -> bool:
    cloud = case.stem.partition("-")[0]
    sources = [*TEMPLATES.glob(f"{name}*"), *(TEMPLATES / cloud).glob(f"{name}*")]
    return any(source.suffix != ".j2" and source.read_text() == body for source in sources)


def test_no_golden_folder_is_without_its_case() -> None:
    assert sorted(path.name for path in (HERE / "golden").iterdir()) == [case.stem for case in CASES]


@each_case
def test_it_is_small_and_holds_one_secret_once(case: Path) -> None:
    text = user_data(args(case))
    assert text.startswith("#cloud-config\n")
    assert len(text.encode()) < MOST_THERE.get(case.stem.partition("-")[0], MOST_BYTES)
    assert text.count("PRIVATE KEY") == 2  # begin and end of the one
    assert document(case)["ssh_keys"] == {"ed25519_private": HOST_PRIVATE, "ed25519_public": HOST_PUBLIC}


@each_case
def test_one_user_logs_in_with_one_key(case: Path) -> None:
    said = document(case)
    (user,) = said["users"]
    assert (user["name"], user["ssh_authorized_keys"], user["lock_passwd"]) == (USER, [CLIENT], True)
    assert (said["disable_root"], said["ssh_pwauth"], said["allow_public_ssh_keys"]) == (True, False, False)
    assert said["ssh_deletekeys"] is True


@pytest.mark.parametrize("case", FULLEST, ids=lambda case: case.stem)
def test_cloud_init_accepts_it(case: Path, tmp_path: Path) -> None:
    if not shutil.which("cloud-init"):
        pytest.skip("there is no cloud-init on this machine")
    file = tmp_path / "user-data"
    file.write_text(user_data(args(case)))
    done = subprocess.run(["cloud-init", "schema", "--config-file", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout and "deprecat" not in done.stdout + done.stderr


def test_values_stay_what_they_are_in_yaml_and_shell() -> None:
    given = args(HERE / "cases" / "aws-container.json")
    odd = 'it\'s: {a} "b" $(c) #d'
    found = yaml.safe_load(user_data({**given, "host": odd, "client_key": odd, "container": odd}))
    assert (found["hostname"], found["users"][0]["ssh_authorized_keys"]) == (odd, [odd])
    image = re.search(r"^image=(.*)$", programs(HERE / "cases" / "aws-container.json")["container"], re.M)
    assert image
    done = subprocess.run(["sh", "-c", f"printf %s {image[1]}"], capture_output=True, text=True, check=True)
    assert done.stdout == given["container"]


@each_case
def test_sshd_takes_the_drop_in_and_has_room_for_the_fleet(case: Path, tmp_path: Path) -> None:
    drop_in = written(case)["/etc/ssh/sshd_config.d/10-skyrig.conf"]
    said = dict(line.lower().split(None, 1) for line in drop_in.splitlines())
    assert int(said["maxsessions"]) > SESSIONS and int(said["maxstartups"].split(":")[0]) > HANDSHAKES
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not sshd:
        pytest.skip("there is no sshd on this machine")
    key = tmp_path / "key"
    key.write_text(HOST_PRIVATE)
    key.chmod(0o600)
    (tmp_path / "conf").write_text(drop_in.replace("/etc/ssh/ssh_host_ed25519_key", str(key)))
    done = subprocess.run([sshd, "-T", "-f", tmp_path / "conf"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    effective = done.stdout.splitlines()
    assert [line for line in effective if line.startswith("hostkey ")] == [f"hostkey {key}"]
    for line in ("permitrootlogin no", "passwordauthentication no", "kbdinteractiveauthentication no"):
        assert line in effective


def test_shellcheck_finds_nothing_in_any_shell_program(tmp_path: Path) -> None:
    files = []
    for case in CASES:
        for name, text in programs(case).items():
            if "sh" in text.splitlines()[0].rpartition("/")[2]:
                files.append(tmp_path / f"{case.stem}-{name}")
                files[-1].write_text(text)
    assert {file.name for file in files} >= {"aws-cpu-stop", "aws-p5-fabric", "aws-container-container"}
    done = subprocess.run([SHELLCHECK, "--severity=style", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@each_case
def test_every_program_says_what_runs_it_and_parses(case: Path, tmp_path: Path) -> None:
    for name, text in programs(case).items():
        first = text.splitlines()[0]
        assert first in ("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env python3"), name
        assert "{%" not in text, f"{name} is a template that is not called *.j2"
        if "python3" in first:
            ast.parse(text, name, feature_version=(3, 8))


@each_case
def test_a_node_of_aws_can_stop_and_end_itself(case: Path) -> None:
    if json.loads(case.read_text())["cloud"] == "aws":
        assert {"stop", "end"} <= set(programs(case))


def test_a_life_that_is_bounded_ends_by_the_clock_of_the_node() -> None:
    bounded, free = (written(HERE / "cases" / f"{name}.json") for name in ("aws-container", "aws-cpu"))
    assert "OnBootSec=3600s" in bounded["/etc/systemd/system/skyrig-end.timer"]
    assert not [path for path in free if "skyrig-end" in path]


@pytest.mark.parametrize("case", FULLEST, ids=lambda case: case.stem)
def test_systemd_accepts_the_units(case: Path, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze on this machine")
    units = []
    for path, text in written(case).items():
        if path.startswith("/etc/systemd/system/"):
            units.append(tmp_path / Path(path).name)
            units[-1].write_text(text.replace("/opt/skyrig/", f"{tmp_path}/"))
    for name, text in programs(case).items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "skyrig" in line]
    assert (done.returncode, said) == (0, []), done.stderr
