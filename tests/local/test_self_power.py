"""What a node does to itself, and what it says of who is there: for a cluster that switches itself off when idle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from local_programs import LocalPrograms, bounded, processes_of

from components.local.describe import POWER
from skyrig.fleet.local import switch
from skyrig.fleet.local.files import wait_for
from skyrig.fleet.local.layout import NodeFolder
from skyrig.launch import nodeside

LOOK, LOOK_INPUT = nodeside.program("terminals", {})


def seen(programs: LocalPrograms, node: dict[str, Any]) -> dict[str, Any]:
    """What a look at the node's terminals finds."""
    done = programs.inside(node, LOOK, input=LOOK_INPUT, encoding=None, check=True)
    found: dict[str, Any] = json.loads(done.stdout or b"")
    return found


def test_terminals_are_seen_and_when_the_last_one_closed(programs: LocalPrograms, stack_name: str, level: str) -> None:
    node = programs.start(stack_name, 0, level)
    assert seen(programs, node) == {"open": False, "closed_s": None}

    async def at_a_terminal(command: str, *, leave: bool) -> None:
        """Open one, look, and end it: by the end of its command, or (`leave`) with the connection."""
        async with programs.connect(node) as connection:
            person = await connection.create_process(command, term_type="xterm")
            await person.stdout.readline()
            look = await connection.run(LOOK, input=LOOK_INPUT, encoding=None, check=True)
            assert json.loads(look.stdout or b"") == {"open": True, "closed_s": None}
            if not leave:
                person.stdin.write("x\n")
                await person.wait()

    for leave in (False, True):
        bounded(at_a_terminal("echo here; read answer", leave=leave))
        closed = wait_for(lambda: None if (now := seen(programs, node))["open"] else now)
        assert closed is not None and 0 <= closed["closed_s"] < 10


def test_elsewhere_sshds_own_titles_tell() -> None:
    """A session of stock OpenSSH is a process with this title; here a process of ours takes it."""
    env = {name: value for name, value in os.environ.items() if name != "SKYRIG_NODE_LOCK"}
    title = "sshd-session: somebody@pts/63"
    with subprocess.Popen([title, "-c", "import time; print(flush=True); time.sleep(60)"], executable=sys.executable,
                          stdout=subprocess.PIPE) as session:  # fmt: skip
        assert session.stdout and session.stdout.readline()
        look = subprocess.run(["/bin/sh", "-c", LOOK], input=LOOK_INPUT, env=env, capture_output=True, check=True)
        session.kill()
    assert json.loads(look.stdout) == {"open": True, "closed_s": None}


def test_a_node_that_ended_itself_is_gone_for_good_and_nothing_runs(
    programs: LocalPrograms, stack_name: str, level: str
) -> None:
    nodes = [programs.start(stack_name, number, level) for number in range(2)]
    folders = [NodeFolder(Path(node["folder"])) for node in nodes]
    later = f"setsid sh -c 'sleep 0.2; {POWER.end_itself}' </dev/null >/dev/null 2>&1 &"
    for node, folder in zip(nodes, folders, strict=True):
        assert switch.check(folder.path.parent), "the network is there for the nodes that are"
        programs.inside(node, later, check=True)
        assert wait_for(lambda folder=folder: True if folder.power() == "ended" else None)  # type: ignore[misc]
    assert wait_for(lambda: None if processes_of(folders[0].path.parent) else True), "no process, also no network's"
    place = {"folder": nodes[0]["folder"], "incarnation": nodes[0]["incarnation"]}
    assert programs.run("check", place) == {"alive": False}
    assert "node n0 is gone" in programs.call("resume", place).stdout
    again = programs.start(stack_name, 0, level)
    assert again["incarnation"] != nodes[0]["incarnation"] and folders[0].power() == "up"


def test_what_a_node_is_to_do_at_each_boot_is_done(programs: LocalPrograms, stack_name: str, level: str) -> None:
    node = programs.start(stack_name, 0, level)
    folder = NodeFolder(Path(node["folder"]))
    folder.at_boot.write_text('echo "$SKYRIG_NODE_ID" >> ~/booted\n')
    place = {"folder": node["folder"], "incarnation": node["incarnation"]}
    for _ in range(2):
        (folder.home / "booted").unlink(missing_ok=True)
        programs.run("halt", place)
        programs.run("resume", place)
        assert wait_for(lambda: True if (folder.home / "booted").exists() else None)
    assert (folder.home / "booted").read_text() == "n0\n"
