"""Which interface carries an address: what torch's CPU transports are told."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from skyrig.launch import nodeside

_GLOO = re.compile(r"skyrig-set GLOO_SOCKET_IFNAME (.*)")


def interface_of(address: str, *before: str) -> str:
    """The interface that the program names for an address."""
    command = [*before, sys.executable, "-I", "-S", "-c", nodeside.fabric(), "orders"]
    done = subprocess.run(command, capture_output=True, text=True, env={"SKYRIG_NODE_ADDRESS": address})
    assert (done.returncode, done.stderr) == (0, "")
    found = _GLOO.search(done.stdout)
    return found.group(1) if found else ""


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_loopback_is_found(address: str) -> None:
    assert interface_of(address) in ("lo", "lo0")


@pytest.mark.parametrize("address", ["203.0.113.77", "2001:db8::77", "no-address", "300.1.1.1", ""])
def test_an_address_of_another_machine_has_none(address: str) -> None:
    assert interface_of(address) == ""


def test_a_nodes_own_network_is_found() -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare and ip are needed to make a network")
    made = (
        "ip link add rig0 type veth peer name rig1 && ip addr add 10.9.8.7/24 dev rig1"
        " && ip addr add 10.9.8.6/24 dev rig1 label rig1:1"
        " && ip addr add fd09::7/64 dev rig1 nodad && ip link set rig0 up && ip link set rig1 up"
    )
    network = ("unshare", "-rn", "sh", "-c", f'{made} && exec "$@"', "sh")
    if subprocess.run([*network, "true"], capture_output=True).returncode != 0:
        pytest.skip("no network namespace can be made here")
    assert interface_of("10.9.8.7", *network) == "rig1"
    assert interface_of("10.9.8.6", *network) == "rig1"
    assert interface_of("fd09::7", *network) == "rig1"
    assert interface_of("10.9.8.8", *network) == ""
