"""A node of a real cluster is taken away after a notice: what a job on it saves meanwhile, and what is said of it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.node import FaultyNode
from user import User, cluster_of, end_nodes, until

torch = pytest.importorskip("torch")

from skyrig.checkpoint import CheckpointManager  # noqa: E402

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore:torch.distributed is disabled")]

NOTICE_S = 25
"""Long enough for a few commands on a machine that does much else beside."""

SCRIPT = """
import os, sys, time, torch, torch.distributed as dist
from skyrig.checkpoint import CheckpointManager
dist.init_process_group("gloo")
weight = torch.zeros(1000)
quick, slow = (CheckpointManager(f"{sys.argv[1]}/{name}", {"weights": {"w": weight}}) for name in ("quick", "slow"))
for each in (quick, slow):
    each.on_sigterm()
    each.save(1, wait=True)
slow.took_s = 60.0
print("began, with", os.environ["SKYRIG_GRACE_S"], "s of grace", flush=True)
for step in range(2, 1_000_000):
    weight.fill_(step)
    stop = [each.after_step(step) for each in (quick, slow)]
    if any(stop):
        break
    time.sleep(0.02)
"""
"""Two saves of one run: one that takes next to no time, and one that is known to take a minute."""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    with cluster_of(tmp_path_factory.mktemp("user"), 2) as person:
        yield person


def log(user: User) -> list[str]:
    return user.run("logs", "-c", user.stack, "--no-follow", check=None).lines


def test_what_is_safe_is_said_before_a_node_goes(user: User, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    where = user.home / "stacks" / user.stack / "records" / "saves"  # a folder that all nodes see
    user.run("train", "--script", str(tmp_path / "train.py"), "-c", user.stack, "--nodes", "2", "-d", "--", str(where))
    until(lambda: "(rank 1, n1) began, with 5 s of grace" in log(user), "it trains", 60)

    said = user.run("local.preempt", f"{user.stack}/n1", "--notice", str(NOTICE_S)).lines
    assert said == [f"node {user.stack}/n1 will be killed in {NOTICE_S} s"]
    head = FaultyNode(user.home / "local" / user.stack / "n0")
    until(lambda: any("is safe" in line and "/slow" in line for line in log(user)), "the notice is heard")
    keeper = head.keeper()
    assert keeper is not None and user.jobs()[-1]["status"] == "RUNNING"
    os.kill(keeper.pid, signal.SIGKILL)
    assert user.nodes()["n1"]["status"] == "UP"

    row = until(lambda: next((row for row in user.jobs() if row["status"] == "FAILED"), None), "it ends", 90)
    assert user.nodes()["n1"]["status"] == "DOWN"
    assert re.fullmatch(r"lost node n1: it was preempted \(notice \d\d:\d\d:\d\d UTC\)", row["reason"])
    assert (row["exit_code"], row["culprit"]) == (4, 1)

    lines = [line for line in log(user) if "preemption of n1" in line]
    assert re.fullmatch(r"\(skyrig\) preemption of n1 in \d+ s \(local.preempt\)", lines[0])
    told = re.compile(r"\(rank 0, n0\) \[skyrig\] preemption of n1 in \d+ s: step (\d+) is safe in (\S+) \((.*)\)")
    quick, slow = ([told.fullmatch(line) for line in lines if f"/{name} " in line] for name in ("quick", "slow"))
    assert len(quick) == 2 and quick[0] and quick[0][1] == "1" and quick[0][3] == "saving once more"
    assert len(slow) == 1 and slow[0] and slow[0][1] == "1"
    assert re.fullmatch(r"a save takes 60.0 s, \d+.\d s are left", slow[0][3])
    assert quick[1] and quick[1][3].startswith("saved in ")
    state = {"w": torch.zeros(1000)}
    found = CheckpointManager(where / "quick", {"weights": state}, readonly=True).restore()
    assert found and found.step == int(quick[1][1]) > 1 and state["w"][0] == found.step

    user.run("local.preempt", f"{user.stack}/n0", "--notice", "600")
    waiting = [pid for pid in user.processes("skyrig.fleet.local\0kill") if _is_of(pid, user)]
    end_nodes(user.home)
    until(lambda: not [pid for pid in waiting if Path(f"/proc/{pid}").exists()], "nobody waits any more")
    assert len(waiting) == 1


def _is_of(pid: int, user: User) -> bool:
    return f"SKYRIG_HOME={user.home}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
