"""HAProxy where it is not there: by the system's packages on a machine of a cloud, never on a local node."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from balancer_lab import frontage

from skyrig import places
from skyrig.errors import SkyrigError
from skyrig.serve.balancer import balancer as room
from skyrig.serve.balancer import haproxy as process
from skyrig.serve.balancer.balancer import Balancer

SCRIPT = places.shipped() / "templates" / "serve" / "program-install.sh"
TOOLS = ("sh", "id", "tail", "cat", "chmod")


class Machine:
    """A PATH with stand-ins of a system's programs."""

    def __init__(self, folder: Path, **programs: str) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.calls = folder / "calls"
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found
            (self.bin / tool).symlink_to(found)
        for name, text in programs.items():
            self.program(name.replace("_", "-"), text)

    def program(self, name: str, text: str) -> None:
        """A program that notes how it was called, and does `text`."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.calls}"\n{text}\n')
        path.chmod(0o755)

    def install(self) -> tuple[int, str]:
        """Run the script: exit code, and the last line that it says."""
        text = SCRIPT.read_text().replace("/usr/sbin/", str(self.bin / "no"))
        command = [str(self.bin / "sh"), "-c", text, "sh", "haproxy"]
        done = subprocess.run(command, env={"PATH": str(self.bin)}, capture_output=True, text=True, check=False)
        assert not done.stderr, done.stderr
        return done.returncode, (done.stdout.splitlines() or [""])[-1]


BRINGS = 'case $* in *install*) echo "#!/bin/sh" >"${0%/*}/haproxy"; chmod +x "${0%/*}/haproxy" ;; esac'
ROOT, USER = "echo 0", "echo 1000"


@pytest.mark.parametrize("getter", ["apt-get", "dnf", "yum"])
def test_each_way_to_packages_is_known(getter: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path, id=ROOT, systemctl="", **{getter.replace("-", "_"): BRINGS})
    assert machine.install() == (0, "")
    asked = machine.calls.read_text().splitlines()
    assert any(line.startswith(getter) and line.endswith("haproxy") and "install" in line for line in asked)
    assert "systemctl disable --now haproxy.service" in asked
    machine.calls.unlink()
    assert machine.install() == (0, "") and not machine.calls.exists()  # it is there: nothing is looked at


def test_a_user_installs_with_sudo_where_that_asks_for_nothing(tmp_path: Path) -> None:
    run = 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"'
    machine = Machine(tmp_path, id=USER, service="", sudo=run, true="", apt_get=BRINGS)
    assert machine.install() == (0, "")
    assert "sudo -n -E apt-get" in machine.calls.read_text() and "service haproxy stop" in machine.calls.read_text()


@pytest.mark.parametrize(
    ("programs", "last"),
    [
        ({"id": USER, "sudo": "exit 1"}, "this user is not root and has no sudo without a password"),
        ({"id": ROOT}, "there is neither apt-get nor dnf nor yum here"),
        ({"id": ROOT, "apt_get": "echo E: no such package >&2; exit 100"}, "E: no such package"),
        ({"id": ROOT, "apt_get": ""}, "its package was installed, and brought no haproxy"),
    ],
)
def test_what_is_in_the_way_is_said_in_the_last_line(programs: dict[str, str], last: str, tmp_path: Path) -> None:
    assert Machine(tmp_path, **programs).install() == (1, last)


def test_the_script_passes_shellcheck() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([shellcheck, "--shell=sh", SCRIPT], check=True)


def test_a_local_node_gets_nothing_installed_and_the_hint_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "find", lambda: None)
    monkeypatch.setenv("SKYRIG_NODE_LOCK", str(tmp_path / "lock"))
    it = Balancer(tmp_path / "b")
    assert not it.available()
    for wanted in (it.install(), it.be(frontage(30001, []))):
        with pytest.raises(SkyrigError, match="no HAProxy on the head") as raised:
            asyncio.run(wanted)
        assert "apt install haproxy" in (raised.value.hint or "")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("says", "version"),
    [("HAProxy version 2.8.5-1ubuntu3", (2, 8)), ("HA-Proxy version 2.4.22 2023", (2, 4)), ("2.2", None), ("", None)],
)
def test_a_haproxy_that_is_too_old_is_none(
    says: str, version: tuple[int, int] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "haproxy"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = process.find()
    assert (found.version if found else None) == version
    if found:
        assert (found.path, found.prometheus, found.means().dynamic) == (program, False, found.version >= (2, 6))
