"""Starting, looking at and stopping nodes by their programs: idempotent, and nothing is ever left."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
from local_programs import LocalPrograms, processes_of

from skyrig.fleet.local.files import wait_for

DETACHED = "setsid sleep 300 </dev/null >/dev/null 2>&1 & echo $!"


def check(programs: LocalPrograms, node: dict[str, Any]) -> dict[str, Any]:
    """What `check` says of a node."""
    return programs.run("check", {"folder": node["folder"]})


def test_start_again_answers_the_same_node(programs: LocalPrograms, stack_name: str, level: str) -> None:
    first = programs.start(stack_name, 0, level)
    assert programs.start(stack_name, 0, level) == first == check(programs, first)


def test_another_request_makes_another_node(programs: LocalPrograms, stack_name: str, level: str) -> None:
    first = programs.start(stack_name, 0, level)
    second = programs.start(stack_name, 0, level, cpus=7)
    assert second["incarnation"] != first["incarnation"] and second["cpus"] == 7
    assert not Path(f"/proc/{first['pid']}").exists() or "Z" in Path(f"/proc/{first['pid']}/stat").read_text()


def test_stop_ends_everything_in_the_node(programs: LocalPrograms, stack_name: str, level: str) -> None:
    node = programs.start(stack_name, 0, level)
    programs.inside(node, DETACHED, check=True)
    folder = Path(node["folder"])
    assert len(processes_of(folder)) >= 2
    assert programs.run("stop", {"folder": node["folder"]}) == {"stopped": True}
    assert processes_of(folder) == [] and not folder.exists()
    assert programs.run("stop", {"folder": node["folder"]}) == {"stopped": False}


def test_killed_node_is_gone_and_comes_back_new(programs: LocalPrograms, stack_name: str, level: str) -> None:
    node = programs.start(stack_name, 0, level)
    programs.inside(node, DETACHED, check=True)
    os.kill(node["pid"], signal.SIGKILL)
    again = programs.start(stack_name, 0, level)
    assert again["incarnation"] != node["incarnation"]
    assert [pid for pid in processes_of(Path(node["folder"])) if _is_sleep(pid)] == []


def _is_sleep(pid: int) -> bool:
    return b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_check_of_a_killed_node(programs: LocalPrograms, stack_name: str, level: str) -> None:
    node = programs.start(stack_name, 0, level)
    os.kill(node["pid"], signal.SIGKILL)
    assert wait_for(lambda: not check(programs, node)["alive"] or None)
    assert programs.run("stop", {"folder": node["folder"]}) == {"stopped": True}


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_half_made_node_with_a_live_server(programs: LocalPrograms, stack_name: str, level: str, verb: str) -> None:
    """As if the starting program had been killed after it started the server and before it said so."""
    node = programs.start(stack_name, 0, level)
    Path(node["folder"], "node.json").unlink()
    assert check(programs, node) == {"alive": False}
    if verb == "start":
        again = programs.start(stack_name, 0, level)
        assert again["incarnation"] != node["incarnation"] and check(programs, again)["alive"]
    else:
        assert programs.run("stop", {"folder": node["folder"]}) == {"stopped": True}
        assert processes_of(Path(node["folder"])) == []


def test_half_made_folder_without_a_server(programs: LocalPrograms, stack_name: str, level: str) -> None:
    folder = programs.stack(stack_name) / "n0"
    (folder / "home").mkdir(parents=True)
    (folder / "alive.lock").touch()
    closed = folder / "changes"
    closed.mkdir()
    closed.chmod(0)
    assert programs.start(stack_name, 0, level)["alive"]


def test_stop_leaves_another_incarnation_alone(programs: LocalPrograms, stack_name: str, level: str) -> None:
    node = programs.start(stack_name, 0, level)
    assert programs.run("stop", {"folder": node["folder"], "incarnation": "older"}) == {"stopped": False}
    assert check(programs, node)["alive"]


def test_stop_refuses_a_folder_that_is_no_node(programs: LocalPrograms, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    done = programs.call("stop", {"folder": str(tmp_path)})
    assert done.returncode == 1 and "not the folder of a local node" in done.stdout
    assert (tmp_path / "precious").exists()


def test_taking_all_away_leaves_nothing(programs: LocalPrograms, level: str) -> None:
    for number in range(3):
        node = programs.start("gone", number, level)
    os.kill(node["pid"], signal.SIGKILL)
    programs.stop_all("gone")
    assert not programs.stack("gone").exists() and processes_of(programs.stack("gone")) == []
    programs.stop_all("gone")


def test_the_folder_of_a_keepers_socket_goes_with_its_node(programs: LocalPrograms) -> None:
    """It is in /tmp where the node's own path is too long for a socket; whatever else a node names there stays."""
    for number, kept in ((0, False), (1, True)):
        programs.start("socket", number, "plain")
        home = programs.stack("socket") / f"n{number}" / "home" / ".skyrig"
        home.mkdir(exist_ok=True)
        named = Path(tempfile.mkdtemp(prefix="skyrig-", dir="/tmp"))
        (named / "keeper.sock").touch()
        if kept:
            (named / "precious").touch()
        (home / "keeper.where").write_text(str(named))
        programs.stop_all("socket")
        assert named.exists() == kept
    shutil.rmtree(named)


def test_bad_requests_are_one_line(programs: LocalPrograms) -> None:
    request = programs.request("bad", 0, "plain")
    pair = {"private": "", "public": ""}
    for spoiled in ({**request, "level": "vm"}, {**request, "more": 1}, {"folder": "x"}):
        done = programs.call("start", {"node": spoiled, "host_key": pair})
        assert done.returncode == 1 and done.stdout.count("\n") == 1 and '"error"' in done.stdout and not done.stderr
    assert not programs.stack("bad").exists()


def test_namespaces_of_a_user_without_rights(nobody: LocalPrograms) -> None:
    nodes = [nobody.start("dev", number, "namespaces") for number in range(2)]
    try:
        places = [f"{folder}/of-{nobody.home.parent.name}" for folder in ("", "/usr", "/tmp")]
        told = nobody.inside(nodes[0], f"id -un; mkdir {' '.join(places)} && hostname", check=True)
        assert str(told.stdout).split() == ["nobody", "dev-n0"]
        assert not any(Path(path).exists() for path in places)
        greeting = "import socket; print(socket.create_connection(('dev-n1', 22), 5).recv(7).decode())"
        assert nobody.inside(nodes[0], f'python -c "{greeting}"', check=True).stdout == "SSH-2.0\n"
        where = {"folder": str(nobody.stack("dev")), "head": "n1", "address": nodes[1]["address"]}
        there = nobody.run("ports-open", {**where, "ports": ["22"], "before": {}})["host_ports"]["22"]
        with socket.create_connection(("127.0.0.1", int(there)), 10) as connection:
            assert connection.recv(7) == b"SSH-2.0"
    finally:
        nobody.stop_all("dev")
    assert processes_of(nobody.stack("dev")) == []
