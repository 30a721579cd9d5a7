"""What makes an instance of Oracle Cloud a node: its firewall, its drivers, its RDMA interfaces; programs of the real
template with others in the place of the system's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.boot import BootArgs, programs_of

RULES = """*filter
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
-A InstanceServices -d 169.254.2.0/24 -p tcp -m owner --uid-owner 0 -j ACCEPT
-A InstanceServices -d 169.254.0.0/16 -p tcp -j REJECT --reject-with tcp-reset
COMMIT
"""


def program(name: str, accelerator: str = "", fabric: str = "none") -> str:
    """The text of a node's program."""
    said: BootArgs = {
        "cloud": "oci", "host": "h", "host_private_key": "", "host_public_key": "", "client_key": "", "fabric": fabric,
        "accelerator": accelerator, "container": "",
    }  # fmt: skip
    return programs_of(said)[name]


def run(folder: Path, text: str, **said: str) -> subprocess.CompletedProcess[str]:
    """Run a program, with what the system has otherwise writing down its words."""
    bin_ = folder / "bin"
    bin_.mkdir(exist_ok=True)
    for name in ("iptables", "apt-get", "modprobe", "systemctl"):
        (bin_ / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{folder}/words\n')
        (bin_ / name).chmod(0o755)
    (folder / "program").write_text(text)
    env = {**os.environ, "PATH": f"{bin_}:/usr/bin:/bin", "SKYRIG_ROOT": str(folder), **said}
    return subprocess.run(
        ["sh", str(folder / "program")], env=env, capture_output=True, text=True, timeout=30, check=False
    )


def words(folder: Path) -> str:
    return (folder / "words").read_text()


def test_what_the_security_groups_let_in_passes_the_images_own_firewall(tmp_path: Path) -> None:
    rules = tmp_path / "etc" / "iptables" / "rules.v4"
    rules.parent.mkdir(parents=True)
    rules.write_text(RULES)
    done = run(tmp_path, program("ready"))
    assert done.returncode == 0 and done.stderr == ""
    kept = RULES.splitlines()
    assert rules.read_text().splitlines() == [kept[0], kept[1], *kept[4:]]
    assert "iptables -D INPUT -j REJECT" in words(tmp_path) and "apt-get" not in words(tmp_path)


@pytest.mark.parametrize(("accelerator", "driver"), [("A10", "580-server-open"), ("V100", "580-server")])
def test_the_driver_of_the_running_kernel_is_put_onto_a_plain_image(
    tmp_path: Path, accelerator: str, driver: str
) -> None:
    done = run(tmp_path, program("ready", accelerator))
    assert done.returncode == 0, done.stderr
    kernel = os.uname().release
    assert f"linux-modules-nvidia-{driver}-{kernel}" in words(tmp_path) and "modprobe nvidia" in words(tmp_path)
    assert "fabricmanager" not in words(tmp_path)


def test_an_image_that_has_a_driver_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "nvidia-smi").chmod(0o755)
    assert run(tmp_path, program("ready", "H100")).returncode == 0 and "apt-get" not in words(tmp_path)


def test_switches_between_gpus_get_their_manager(tmp_path: Path) -> None:
    (tmp_path / "proc" / "driver" / "nvidia-nvswitch" / "devices" / "0").mkdir(parents=True)
    run(tmp_path, program("ready", "H100"))
    assert "nvidia-fabricmanager-580" in words(tmp_path)


@pytest.mark.parametrize(
    ("interfaces", "code", "said"),
    [
        ({"rdma0": True, "rdma1": True, "eth0": True}, 0, "2 RDMA interfaces are up"),
        ({"rdma0": True, "rdma1": False}, 1, "1 of 2 RDMA interfaces have an address"),
        ({"eth0": True}, 1, "there is no RDMA interface: the image lacks Oracle's RDMA software"),
    ],
)
def test_the_fabric_is_there_once_all_interfaces_have_an_address(
    tmp_path: Path, interfaces: dict[str, bool], code: int, said: str
) -> None:
    network: Any = tmp_path / "net"
    for name in interfaces:
        (network / name).mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    up = " ".join(name for name, has in interfaces.items() if has)
    text = f'#!/bin/sh\nfor each in {up}; do [ "$each" != "$6" ] || echo "$each inet 10.224.0.1/12"; done\n'
    (tmp_path / "bin" / "ip").write_text(text)
    (tmp_path / "bin" / "ip").chmod(0o755)
    asked = {"SKYRIG_NETWORK": str(network), "SKYRIG_TRIES": "1", "SKYRIG_PAUSE_S": "0"}
    done = run(tmp_path, program("fabric", "H100", "roce"), **asked)
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done
