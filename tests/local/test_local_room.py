"""Nodes of the local cloud's programs where capacity is limited, and one that is cut off: real nodes, no engine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import asyncssh
import pytest
from local_programs import LocalPrograms

from skyrig import local, places
from skyrig.errors import BadInput
from skyrig.fleet.local import capacity, partition
from skyrig.fleet.local.files import wait_for


@pytest.fixture
def home(programs: LocalPrograms, monkeypatch: pytest.MonkeyPatch) -> LocalPrograms:
    """The programs' SKYRIG_HOME is this process's, and no place of it is limited after the test."""
    monkeypatch.setenv("SKYRIG_HOME", str(programs.home))
    return programs


def test_of_nodes_that_come_at_once_as_many_as_there_is_room_for_are_made(home: LocalPrograms, stack_name: str) -> None:
    root = places.local_nodes("any").parent
    home.run("network-start", {"folder": str(home.stack(stack_name)), "level": "plain"})
    key = asyncssh.generate_private_key("ssh-ed25519")
    pair = {"private": key.export_private_key().decode(), "public": key.export_public_key().decode().strip()}

    def start(number: int) -> subprocess.CompletedProcess[str]:
        asked = home.request(stack_name, number, "plain", address="127.0.0.1", zone="there-a", spot=True)
        return home.call("start", {"node": asked, "host_key": pair})

    local.limit("there", 2, "spot")
    try:
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(start, range(4)))
        assert sorted(each.returncode for each in done) == [0, 0, 1, 1]
        refused = [number for number, each in enumerate(done) if each.returncode]
        assert all("LocalRegionFull: local/there has room for 2 spot nodes, 2 are there" in done[each].stdout
                   for each in refused)  # fmt: skip
        assert not any((home.stack(stack_name) / f"n{number}").exists() for number in refused)
        made = [node for node in local.nodes() if node.cluster == stack_name]
        assert {(node.zone, node.spot, node.status) for node in made} == {("there-a", True, "UP")} and len(made) == 2

        first = home.stack(stack_name) / made[0].name
        state = home.run("check", {"folder": str(first)})
        order = {"folder": str(first), "incarnation": state["incarnation"]}
        home.run("halt", order)
        assert start(refused[0]).returncode == 0, "a node that is off takes no room"
        off = home.call("resume", order)
        assert off.returncode == 1 and "LocalRegionFull" in off.stdout
        assert home.run("check", {"folder": str(first)})["power"] == "stopped"
        os.kill(made[1].pid, signal.SIGKILL)
        wait_for(lambda: True if len(capacity.taken(root)) == 1 else None)
        assert home.run("resume", order)["power"] == "up", "and neither does one that was preempted"
    finally:
        local.limit("local", None)


def test_a_node_that_is_cut_off_reaches_nobody_and_is_entered_from_here(
    home: LocalPrograms, stack_name: str, best_level: str
) -> None:
    if best_level != "namespaces":
        pytest.skip("no namespaces for this user on this machine")
    one, two = (home.start(stack_name, number, best_level) for number in range(2))

    def reaches() -> bool:
        knock = f"timeout 2 bash -c 'head -c 4 < /dev/tcp/{two['address']}/22'"
        return str(home.inside(one, knock).stdout) == "SSH-"

    assert reaches()
    named = f"{stack_name}/n1"
    local.cut_off(named)
    assert not reaches(), "what it would receive is lost"
    outwards = f"timeout 2 bash -c 'head -c 4 < /dev/tcp/{one['address']}/22'"
    assert str(home.inside(two, outwards).stdout) == "", "and what it sends, while logins work"
    assert [node.is_cut for node in local.nodes() if node.cluster == stack_name] == [False, True]
    local.connect(named)
    assert reaches()
    with pytest.raises(BadInput, match="is not cut off"):
        local.connect(named)

    folder = home.stack(stack_name) / "n1"
    began = time.time()
    local.cut_off(named, for_s=1.5)
    assert partition.is_cut(folder)
    assert wait_for(lambda: None if partition.is_cut(folder) else True, 20) and time.time() - began >= 1.5
    assert wait_for(lambda: True if reaches() else None, 20)


def test_a_node_that_shares_the_machines_network_is_not_cut_off(home: LocalPrograms, stack_name: str) -> None:
    home.start(stack_name, 0, "plain", address="127.0.0.1")
    with pytest.raises(BadInput, match="share the machine's network"):
        local.cut_off(f"{stack_name}/n0")
