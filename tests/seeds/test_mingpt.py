"""The multi-node minGPT file of the PyTorch quickstart, its clone step replaced by a workdir, on a cluster of two."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from user import User, end_nodes, until

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent
MAIN = """
import json, os
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
total = torch.tensor([float(dist.get_rank())])
dist.all_reduce(total)
names = ("NODE_RANK", "NUM_NODES", "NUM_GPUS_PER_NODE", "NODE_IPS")
told = {"rank": dist.get_rank(), "total": total.item(), **{name: os.environ["SKYPILOT_" + name] for name in names}}
os.write(1, f"told {json.dumps(told)}\\n".encode())
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user with the file, its workdir, and no cluster yet."""
    folder = tmp_path_factory.mktemp("mingpt")
    person = User(folder, f"mingpt-{os.getpid()}")
    (folder / "work" / "examples" / "mingpt").mkdir(parents=True)
    (folder / "work" / "examples" / "mingpt" / "main.py").write_text(MAIN)
    text = (HERE / "mingpt.yaml").read_text().replace("WORKDIR", str(folder / "work"))
    (folder / "train.yaml").write_text(text)
    yield person
    end_nodes(person.home)


def told(output: bytes) -> list[dict[str, Any]]:
    """What the training processes said of themselves, by rank."""
    lines = [line.partition("told ")[2] for line in output.decode().splitlines() if "told {" in line]
    return sorted((json.loads(line) for line in lines), key=lambda each: int(each["rank"]))


def test_it_runs_by_launch_and_again_by_exec(user: User) -> None:
    file = user.clone.parent / "train.yaml"
    refused = user.run("launch", str(file), "-c", user.stack, check=3)
    assert b"`--infra local` rehearses it here" in refused.err
    first = user.run("launch", str(file), "-c", user.stack, "--infra", "local", timeout=240)
    again = user.run("exec", str(file), "-c", user.stack, timeout=120)
    for done in (first, again):
        processes = told(done.out)
        assert [each["rank"] for each in processes] == [0, 1, 2, 3], done.told()
        assert {each["total"] for each in processes} == {6.0}
        assert [each["NODE_RANK"] for each in processes] == ["0", "0", "1", "1"]
        assert {each["NUM_NODES"] + each["NUM_GPUS_PER_NODE"] for each in processes} == {"22"}
        (addresses,) = {each["NODE_IPS"] for each in processes}
        assert len(set(addresses.split("\n"))) == 2
    assert b"setup of node 1" in first.out
    assert b"setup of node" not in again.out


def test_launch_again_does_only_what_differs(user: User) -> None:
    file = user.clone.parent / "short.yaml"
    text = (user.clone.parent / "train.yaml").read_text()
    file.write_text(text[: text.index("run: |")] + "run: echo done\n")
    done = user.run("launch", str(file), "-c", user.stack, "--infra", "local")
    assert b"setup of node" not in done.out
    assert b"setup skipped on n0, n1: nothing changed (--force-setup runs it)" in done.out + done.err
    forced = user.run("launch", str(file), "-c", user.stack, "--infra", "local", "--force-setup")
    assert forced.out.count(b"setup of node") == 2


def test_changed_resources_are_a_plan_and_never_ignored(user: User) -> None:
    before = user.nodes()
    file = user.clone.parent / "train.yaml"
    refused = user.run("launch", str(file), "-c", user.stack, "--infra", "local", "--gpus", "A100:8", check=2)
    assert b"the task asks for A100:8, nodes of" in refused.err
    assert b"replace every node" in refused.err
    assert user.nodes() == before


@pytest.mark.soak
def test_fifty_detached_jobs_run_in_order_each_with_its_log_and_code(user: User) -> None:
    code = (
        "import sys; from skyrig import verbs; from skyrig.task import reading\n"
        "for n in range(50):\n"
        "    text = f'run: echo number {n}; exit {n % 3}\\nresources: {{gpus: L4:2, infra: local}}\\nnum_nodes: 2'\n"
        "    task, options = reading.loads(text).only(), verbs.RunOptions(detach=True)\n"
        "    assert verbs.exec_(task, sys.argv[1], options, sys.stdout.buffer, lambda line: None) == 0\n"
    )
    first = user.jobs()[-1]["id"] + 1
    subprocess.run([sys.executable, "-c", code, user.stack], cwd=user.clone, env=user.env, check=True, timeout=120)

    def ended() -> list[dict[str, Any]] | None:
        rows = [row for row in user.jobs() if row["id"] >= first]
        return rows if all(row["ended_at"] for row in rows) else None

    rows = until(ended, "50 jobs end", 90)
    assert [row["exit_code"] for row in rows] == [n % 3 for n in range(50)]
    assert all(before["ended_at"] <= after["started_at"] for before, after in itertools.pairwise(rows)), (
        "each takes all"
    )
    for n in (0, 25, 49):
        done = user.run("logs", "-c", user.stack, "-j", str(first + n), check=n % 3)
        assert f"number {n}".encode() in done.out
