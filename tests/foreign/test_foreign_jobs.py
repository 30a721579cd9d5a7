"""Jobs on machines with stock OpenSSH, an empty home, an old Python, and no way to the internet."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from pathlib import Path

import pytest
from foreign_jobs import COUNTING, Followed, counted, follow, request, until
from foreign_nodes import ForeignNode, Lab

from skyrig import places
from skyrig.launch import client, records

KEEPER = "launch.keeper serve"


def test_a_job_with_setup_and_workdir_runs_where_nothing_was_ever_installed(
    lab: Lab, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "data.txt").write_text("what was synced\n")
    text = (
        'cat data.txt; cat ~/was_set_up; python3 -c "import sys; print(*sys.version_info[:2])"\n'
        "ssh foreign-worker1 hostname\n"
        '[ "$SKYRIG_NODE_RANK" != 2 ] || exit 7\nsleep 60\n'
    )
    before = [_installed(node) for node in lab.nodes]
    with lab.entered():
        desc = lab.description("foreign")
        seen = asyncio.run(
            follow(desc, request(text, 3, "echo set up on $(hostname) >~/was_set_up"), workdir=tmp_path / "work")
        )
    assert seen.code == 7
    for rank, node in enumerate(lab.nodes):
        own = [line.partition(") ")[2] for line in seen.lines if line.startswith(f"(rank {rank}, ")]
        version = node.machine.python.version.replace(".", " ")
        assert own[:4] == ["what was synced", f"set up on n{rank}", version, "n1"][: len(own)]
        assert rank != 2 or len(own) >= 4
    assert [line for line in seen.said if "sending" in line], seen.said
    assert [_installed(node) for node in lab.nodes] == before, "the nodes' own Python is as it was"
    assert [node.packets_without_route() for node in lab.nodes] == [0, 0, 0], "nothing asked for the internet"


def test_a_killed_keeper_comes_back_and_the_log_has_no_gap(lab: Lab, home: Path) -> None:
    async def scenario() -> Followed:
        seen = Followed()
        job = asyncio.create_task(
            follow(lab.description("foreign"), request(COUNTING.format(count=60, pause=0.05), 3), seen=seen)
        )
        await until(lambda: b"line 9 of 1" in seen.out.getvalue())
        (pid,) = lab.head.pids(KEEPER)
        os.kill(pid, signal.SIGKILL)
        return await job

    with lab.entered():
        seen = asyncio.run(scenario())
    assert seen.code == 0, seen.said
    assert sorted(line for line in seen.lines if "line" in line) == counted(60, 3)


def test_cancel_leaves_no_process_behind(lab: Lab, home: Path) -> None:
    async def scenario() -> Followed:
        seen = Followed()
        desc = lab.description("foreign")
        job = asyncio.create_task(follow(desc, request("setsid sleep 4711 & echo on; sleep 4711", 3), seen=seen))
        await until(lambda: seen.out.getvalue().count(b"on\n") == 3)
        assert len(await client.cancel(desc, None)) == 1
        return await job

    with lab.entered():
        seen = asyncio.run(scenario())
    assert seen.code == 128 + signal.SIGTERM
    for node in lab.nodes:
        assert not node.pids("sleep 4711")


def test_records_and_logs_are_kept_by_the_client_where_the_head_cannot(
    lab: Lab, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.entered():
        desc = lab.description("foreign")
        seen = asyncio.run(follow(desc, request(COUNTING.format(count=5, pause=0), 1)))
        monkeypatch.setenv("SKYRIG_HOME", str(home / "colleague"))
        asyncio.run(client.settle(desc))
    for where in (home, home / "colleague"):
        monkeypatch.setenv("SKYRIG_HOME", str(where))
        out = io.BytesIO()
        assert records.logs(places.records("foreign"), None, rank=None, tail=None, out=out) == seen.code == 0
        assert out.getvalue().decode().splitlines() == seen.lines == counted(5, 1)


def _installed(node: ForeignNode) -> str:
    """What lies in a node's Python and in its home beside what is ours."""
    site = 'python3 -c "import site; print(*site.getsitepackages())"'
    return node.run(
        f'ls -A $({site}); ls -A "$HOME/.local" "$HOME/.cache" 2>/dev/null; command -v python3', check=False
    )
