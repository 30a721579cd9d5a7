"""Switching nodes off and on: the same node with the same files comes back, and nothing of its processes."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import time
from pathlib import Path
from typing import Any

from local_programs import LocalPrograms, processes_of

from skyrig.fleet.local.files import wait_for
from skyrig.fleet.local.layout import SHUTDOWN_S, NodeFolder

KEPT = ("node_id", "incarnation", "host_key", "address", "alias", "user", "folder", "cpus", "memory_gb")
POLITE = "trap 'echo told >> ~/told; exit' TERM; echo ready; while :; do sleep 0.05; done"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def power(programs: LocalPrograms, verb: str, node: dict[str, Any]) -> dict[str, Any]:
    """What `halt`, `resume` or `check` answers about a node."""
    return programs.run(verb, {"folder": node["folder"], "incarnation": node["incarnation"]})


def detached(programs: LocalPrograms, node: dict[str, Any], script: str) -> None:
    """Leave a shell script running in a node, and return once it says that it is ready."""
    command = f"setsid sh -c {shlex.quote(script)} </dev/null >~/said 2>&1 & while [ ! -s ~/said ]; do sleep 0.02; done"
    programs.inside(node, command, check=True)


def test_a_stopped_node_comes_back_with_its_files_and_nothing_else(
    programs: LocalPrograms, stack_name: str, level: str
) -> None:
    node = programs.start(stack_name, 0, level)
    files = "~/kept $VIRTUAL_ENV/kept" + (" /opt/kept /kept" if level == "namespaces" else "")
    lost = "$TMPDIR/lost" + (" /run/lost /dev/shm/lost-of-test" if level == "namespaces" else "")
    programs.inside(node, f"touch {files} {lost}", check=True)
    detached(programs, node, POLITE)

    off = power(programs, "halt", node)
    assert (off["power"], off["alive"]) == ("stopped", False)
    assert power(programs, "check", node) == off
    assert processes_of(Path(node["folder"])) == []
    assert Path(node["folder"], "home", "told").read_text() == "told\n"
    assert power(programs, "halt", node) == off

    with socket.create_server(("127.0.0.1", node["port"])):  # somebody else has its port meanwhile
        on = power(programs, "resume", node)
    assert on == power(programs, "resume", node) == power(programs, "check", node)
    assert {key: on[key] for key in KEPT} == {key: node[key] for key in KEPT}
    assert on["port"] != node["port"] and on["boot"] != node["boot"]
    assert (on["power"], on["alive"]) == ("up", True)
    programs.inside(on, f"ls {files}", check=True)
    assert programs.inside(on, f"ls {lost} 2>/dev/null").stdout == ""
    assert "sleep" not in str(programs.inside(on, "ps -e" if level == "namespaces" else "true").stdout)
    third = power(programs, "resume", power(programs, "halt", on))
    assert third["port"] == on["port"], "its port is free: it keeps it"
    programs.inside(third, f"ls {files}", check=True)


def test_a_node_that_shuts_itself_down_is_stopped_and_not_gone(
    programs: LocalPrograms, stack_name: str, level: str
) -> None:
    node = programs.start(stack_name, 0, level)
    stubborn = level == "plain"  # where nothing but us ends what does not heed
    detached(programs, node, STUBBORN if stubborn else POLITE)
    began = time.monotonic()
    refused = programs.inside(node, "shutdown -r now")
    assert refused.exit_status == 1 and "shutdown now" in str(refused.stderr)
    later = "setsid sh -c 'sleep 0.2; shutdown -h now' </dev/null >/dev/null 2>&1 &"
    programs.inside(node, later, check=True)
    folder = NodeFolder(Path(node["folder"]))
    assert wait_for(lambda: None if folder.alive() else True, 4 * SHUTDOWN_S)
    assert not stubborn or time.monotonic() - began > SHUTDOWN_S - 1, "it was given its time to end"
    assert wait_for(lambda: None if processes_of(folder.path) else True)
    assert power(programs, "check", node)["power"] == "stopped"
    assert power(programs, "resume", node)["incarnation"] == node["incarnation"]


def test_a_killed_node_is_not_a_stopped_one(programs: LocalPrograms, stack_name: str, level: str) -> None:
    node = programs.start(stack_name, 0, level)
    on = power(programs, "resume", power(programs, "halt", node))
    os.kill(on["pid"], signal.SIGKILL)
    folder = NodeFolder(Path(node["folder"]))
    assert wait_for(lambda: None if folder.alive() else True)
    assert power(programs, "check", node) == {"alive": False}
    for verb in ("halt", "resume"):
        done = programs.call(verb, {"folder": node["folder"], "incarnation": node["incarnation"]})
        assert done.returncode == 1 and "node n0 is gone" in done.stdout and done.stdout.count("\n") == 1


def test_a_start_that_was_cut_off_is_made_good_by_the_next(
    programs: LocalPrograms, stack_name: str, level: str
) -> None:
    """As if the program had been killed after it started the server: before it wrote that down, and right after."""
    node = programs.start(stack_name, 0, level)
    folder = NodeFolder(Path(node["folder"]))
    for written_down in (False, True):
        on = power(programs, "resume", power(programs, "halt", node))
        state = folder.read_state() or {}
        folder.stopped.touch()
        if not written_down:
            folder.write_state({**state, "pid": 0, "boot": "older"})
        assert power(programs, "check", node)["power"] == "stopped"
        again = power(programs, "resume", node)
        assert again["power"] == "up" and again["pid"] != on["pid"] and again["boot"] != on["boot"]
        assert len([pid for pid in processes_of(folder.path) if b"local.server" in cmdline(pid)]) == 1


def cmdline(pid: int) -> bytes:
    """Arguments of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_made_stopped_and_adopted(programs: LocalPrograms, stack_name: str, level: str) -> None:
    """A node may be wanted stopped from the start; making it again from the same request changes its power alone."""
    programs.run("network-start", {"folder": str(programs.stack(stack_name)), "level": level})
    pair = {"private": "-", "public": "ssh-ed25519 A"}
    wanted = {"node": programs.request(stack_name, 0, level), "host_key": pair, "power": "stopped"}
    made = programs.run("start", wanted)
    assert (made["power"], made["pid"]) == ("stopped", 0) and made["port"] > 0
    assert processes_of(Path(made["folder"])) == []
    assert programs.run("start", wanted) == made
    node = programs.start(stack_name, 1, level)
    again = {**wanted, "node": programs.request(stack_name, 1, level)}
    assert programs.run("start", again)["power"] == "stopped"
    on = programs.start(stack_name, 1, level)
    assert on["incarnation"] == node["incarnation"] and on["boot"] != node["boot"]
    programs.stop_all(stack_name)
    assert not programs.stack(stack_name).exists()
