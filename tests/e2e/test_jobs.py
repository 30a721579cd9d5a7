"""A live cluster of two nodes: what is said of it, and jobs: their ends, losses, and what arrives in them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import User, ranks_in, until
from faults.node import FaultyNode

from skyrig.launch.keeper.rank import LEASE_S

pytestmark = pytest.mark.e2e

SEVEN = """
import os, sys, time
rank = int(os.environ["RANK"])
print("rank", rank, "of", os.environ["WORLD_SIZE"], flush=True)
if rank == 1:
    print("last words of rank one at", time.time(), file=sys.stderr, flush=True)
    sys.exit(7)
time.sleep(421.75)
"""


def test_status_json_has_the_promised_form(user: User) -> None:
    (cluster,) = json.loads(user.run("status", "-c", user.stack, "--json").out)["clusters"]
    assert set(cluster) >= {
        "name",
        "stack",
        "status",
        "cloud",
        "region",
        "nodes",
        "hourly_cost",
        "autostop",
        "endpoints",
    }
    assert (cluster["name"], cluster["status"], cluster["cloud"]) == (user.stack, "UP", "local")
    assert [(node["rank"], node["name"], node["status"]) for node in cluster["nodes"]] == [
        (0, "n0", "UP"),
        (1, "n1", "UP"),
    ]
    assert cluster["endpoints"] == {}
    none = user.run("status", "-c", user.stack, "--endpoint", check=2).err.decode()
    assert f"cluster {user.stack} has no open port" in none and "--ports PORT" in none
    described = subprocess.run(
        ["pulumi", "stack", "output", "cluster", "--json"],
        cwd=user.clone,
        env=user.env,
        check=True,
        capture_output=True,
    ).stdout
    document = json.loads(described)
    assert document["version"] == 1
    assert "PRIVATE KEY" not in described.decode()
    assert len(document["nodes"]) == 2


def test_argv_env_and_paths_arrive_byte_for_byte(user: User, tmp_path: Path) -> None:
    folder = tmp_path / 'a "dir" with $HOME & ünï'
    folder.mkdir()
    (folder / "my script's.py").write_text(
        "import json, os, sys\n"
        "print('SEEN', json.dumps([sys.argv[1:], os.environ['ODD'], os.path.basename(sys.argv[0])]))\n"
    )
    odd = ["with space", "quote\"s and 'these'", "$HOME `id` \\", "two\nlines", "ünï ☃", "", "--flag=*", "\udcff\udc80"]
    value = "v1 \"x\" '$y' \n ☃ \udcfe end"
    done = user.run(
        "train",
        "--script",
        str(folder / "my script's.py"),
        "--strategy",
        "plain",
        "--nodes",
        "1",
        "-c",
        user.stack,
        "-e",
        f"ODD={value}",
        "--",
        *odd,
    )
    seen = next(line for line in done.lines if "SEEN" in line)
    assert json.loads(seen.partition("SEEN ")[2]) == [odd, value, "my script's.py"]


def test_a_killed_client_loses_nothing(user: User, script: Callable[[str], Path]) -> None:
    path = script(
        "import os, time\nprint('first line', flush=True)\n"
        "while not os.path.exists('go'): time.sleep(0.05)\n"
        "print('last line', flush=True)\n"
    )
    client = user.start("train", "--script", str(path), "--strategy", "plain", "-c", user.stack)
    assert client.stdout is not None
    until(lambda: b"first line" in client.stdout.readline(), "the job's first line")  # type: ignore[union-attr]
    client.send_signal(signal.SIGKILL)
    client.wait()
    running = user.jobs()[-1]
    assert running["status"] == "RUNNING"
    for node in ("n0", "n1"):
        user.run("ssh", "-c", user.stack, "--node", node, "--", "touch ~/sky_workdir/go")
    logs = user.run("logs", "-c", user.stack)
    assert user.run("ssh", "-c", user.stack, "--", "rm ~/sky_workdir/go; ssh n1 rm sky_workdir/go").code == 0
    assert sum("first line" in line for line in logs.lines) == 2
    assert sum("last line" in line for line in logs.lines) == 2
    assert user.jobs()[-1]["status"] == "SUCCEEDED"


def test_ctrl_c_detaches_and_the_job_goes_on(user: User, script: Callable[[str], Path]) -> None:
    path = script("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    client = user.start("train", "--script", str(path), "--strategy", "plain", "-c", user.stack)
    assert client.stdout is not None
    until(lambda: b"begun" in client.stdout.readline(), "the job's first line")  # type: ignore[union-attr]
    client.send_signal(signal.SIGINT)
    rest = client.communicate(timeout=20)[0]
    assert client.returncode == 0, rest
    assert b"goes on" in rest
    job = user.jobs()[-1]
    assert job["status"] == "RUNNING"
    user.run("cancel", "-c", user.stack, "-j", str(job["id"]))
    assert user.jobs()[-1]["status"] == "CANCELLED"
    until(lambda: not user.processes(str(path)), "no process of a cancelled job")


def test_two_clients_at_once_each_get_their_own_job(user: User, script: Callable[[str], Path]) -> None:
    path = script("import os, sys\nprint('mine', sys.argv[1], os.environ['MASTER_PORT'], flush=True)\n")
    calls = [
        user.start("train", "--script", str(path), "-c", user.stack, "--strategy", "plain", "-n", name, "--", name)
        for name in ("alpha", "beta", "gamma")
    ]
    for name, call in zip(("alpha", "beta", "gamma"), calls, strict=True):
        out = call.communicate(timeout=60)[0].decode()
        assert call.returncode == 0, out
        said = [line for line in out.splitlines() if line.startswith("(rank")]
        assert len(said) == 2
        assert all(f"mine {name} " in line for line in said), out


def test_two_torchruns_at_once_do_not_collide(user: User, script: Callable[[str], Path]) -> None:
    path = script(
        "import sys, torch.distributed as dist\ndist.init_process_group('gloo')\n"
        "import torch\nt = torch.ones(1) * int(sys.argv[1])\ndist.all_reduce(t)\nprint('sum', t.item(), flush=True)\n"
        "dist.destroy_process_group()\n"  # without it torch's threads may abort the interpreter at its end
    )
    calls = [user.start("train", "--script", str(path), "-c", user.stack, "--", number) for number in ("3", "50")]
    for number, call in zip((3, 50), calls, strict=True):
        out = call.communicate(timeout=90)[0].decode()
        assert call.returncode == 0, out
        assert out.count(f"sum {2.0 * number}") == 2, out


@pytest.mark.parametrize(
    "strategy",
    [  # the keeper reads the same records of all; tests/render has each launcher write them
        "plain",
        "torchrun",
        pytest.param("accelerate", marks=pytest.mark.soak),
        pytest.param("deepspeed", marks=pytest.mark.soak),
    ],
)
def test_the_exit_code_is_that_of_the_rank_that_failed(
    user: User, script: Callable[[str], Path], strategy: str
) -> None:
    if strategy == "deepspeed":
        pytest.importorskip(
            "deepspeed", reason="deepspeed is not installed here: ./rig train --strategy deepspeed gets it"
        )
    path = script(SEVEN)
    done = user.run("train", "--script", str(path), "--strategy", strategy, "-c", user.stack, check=7)
    ended = time.time()
    told = done.out + done.err
    assert b"rank 1 (n1) exited with code 7" in told, done.told()
    assert b"the last lines of rank 1" in told
    assert b"last words of rank one" in done.err, "the last lines are shown again at the end"
    job = user.jobs()[-1]
    assert job["status"] == "FAILED"
    assert job["exit_codes"][1] == 7
    assert user.processes(str(path)) == []
    assert user.processes("421.75") == []
    exited = re.search(rb"last words of rank one at ([\d.]+)", done.err)
    assert exited and ended - float(exited[1]) < 10, "a failing rank ends a sleeping one within ten seconds of its end"


def test_ssh_reaches_every_node_from_inside_a_job_without_a_prompt(user: User, tmp_path: Path) -> None:
    task = tmp_path / "ssh.yaml"
    task.write_text(
        "name: reach\nnum_nodes: 1\nrun: |\n"
        f"  ssh {user.stack}-worker1 'echo worker $SKYRIG_NODE_ID'\n"
        f"  ssh {user.stack} 'echo head $SKYRIG_NODE_ID'\n"
        "  ssh n1 'echo by id $SKYRIG_NODE_ID'\n"
    )
    done = user.run("launch", str(task), "-c", user.stack, "--infra", "local", "-y")
    assert [line for line in done.lines if "n0" in line or "n1" in line] == ["worker n1", "head n0", "by id n1"]


def test_what_is_added_to_a_text_is_told_to_the_user_and_not_to_the_log(user: User, tmp_path: Path) -> None:
    task = tmp_path / "mended.yaml"
    task.write_text(
        "num_nodes: 2\nrun: |\n  if false; then torchrun --nnodes 2 --master_addr x train.py; fi\n"
        "  echo rank $(env | grep -c ^PET_) $(printenv PET''_NODE_RANK)\n  bash -c 'sky show ips --internal | wc -l'\n"
        "  cat ~/sky_logs/$SKYPILOT_INTERNAL_JOB_ID-sky-cmd/tasks/$SKYPILOT_NODE_RANK-*.log | grep -c rank\n"
    )
    done = user.run("launch", str(task), "-c", user.stack, "--infra", "local", "-y")
    assert done.err.decode().count("PET_NODE_RANK=$SKYPILOT_NODE_RANK") == 1
    for rank in (0, 1):
        said = [line.partition(") ")[2] for line in done.lines if line.startswith(f"(rank {rank}, n{rank})")]
        assert said == [f"rank 1 {rank}", "2", "1"], done.told()
    assert not any("torchrun with" in line for line in done.lines)


def test_setup_runs_once_per_node_and_says_what_it_skipped(user: User, tmp_path: Path) -> None:
    task = tmp_path / "setup.yaml"
    task.write_text("num_nodes: 2\nsetup: echo setting up >> ~/setups\nrun: wc -l < ~/setups\n")
    for expected in ("1", "1"):
        done = user.run("launch", str(task), "-c", user.stack, "--infra", "local", "-y")
        assert [line.split()[-1] for line in done.lines if line.startswith("(rank")] == [expected, expected]
    assert any("setup skipped on n0, n1" in line for line in done.lines), done.told()
    forced = user.run("launch", str(task), "-c", user.stack, "--infra", "local", "-y", "--force-setup")
    assert [line.split()[-1] for line in forced.lines if line.startswith("(rank")] == ["2", "2"]
    task.write_text("num_nodes: 2\nsetup: exit 9\nrun: echo never\n")
    failed = user.run("launch", str(task), "-c", user.stack, "--infra", "local", "-y", check=9)
    assert "never" not in failed.out.decode()
    assert user.jobs()[-1]["status"] == "FAILED_SETUP"


def test_a_secret_reaches_the_job_and_nothing_else(user: User, tmp_path: Path) -> None:
    task = tmp_path / "secret.yaml"
    task.write_text("run: |\n  echo ${#TOKEN}; until [ -e ~/looked ]; do sleep 0.1; done\n")
    env = {**user.env, "TOKEN": "s3cr3t-Zq91-value"}
    client = subprocess.Popen(
        user.command("launch", str(task), "-c", user.stack, "--infra", "local", "-y", "--secret", "TOKEN"),
        cwd=user.clone,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    until(lambda: [job for job in user.jobs() if job["status"] == "RUNNING"], "the job runs")
    assert user.processes("s3cr3t-Zq91-value") == []
    for node in ("n0", "n1"):
        (user.home / "local" / user.stack / node / "home" / "looked").touch()
    out = client.communicate(timeout=30)[0]
    assert b"17" in out
    found = subprocess.run(
        ["grep", "-rl", "s3cr3t-Zq91-value", str(user.home)], capture_output=True, check=False
    ).stdout.decode()
    assert found == "", "no file of the user's data folder holds the secret"


def test_a_node_that_cannot_start_its_rank_says_why_at_once(user: User, script: Callable[[str], Path]) -> None:
    path = script("print('never')\n")
    aside = "mv ~/.skyrig/jobs ~/.skyrig/aside; touch ~/.skyrig/jobs"
    user.run("ssh", "-c", user.stack, "--node", "n1", "--", aside)
    try:
        done = user.run("train", "--script", str(path), "--strategy", "plain", "-c", user.stack, check=5)
    finally:
        user.run("ssh", "-c", user.stack, "--node", "n1", "--", "rm ~/.skyrig/jobs; mv ~/.skyrig/aside ~/.skyrig/jobs")
    assert b"rank 1 (n1) could not be started" in done.err, done.told()
    assert done.seconds < 8


def test_a_killed_node_fails_the_job_and_up_repairs_that_node_alone(user: User, script: Callable[[str], Path]) -> None:
    path = script("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    client = user.start("train", "--script", str(path), "--strategy", "plain", "-c", user.stack)
    assert client.stdout is not None
    until(lambda: b"begun" in client.stdout.readline(), "the job's first line")  # type: ignore[union-attr]
    before = user.nodes()
    os.kill(before["n1"]["pid"], signal.SIGKILL)
    rest = client.communicate(timeout=15)[0].decode()
    assert client.returncode == 4, rest
    assert "lost node n1" in rest
    assert user.jobs()[-1]["status"] == "FAILED"
    user.run("up", "-c", user.stack)
    after = user.nodes()
    assert after["n0"]["pid"] == before["n0"]["pid"]
    assert after["n1"]["pid"] != before["n1"]["pid"]
    path.write_text("print('whole again')\n")
    done = user.run("train", "--script", str(path), "--strategy", "plain", "-c", user.stack)
    assert ranks_in(done.lines) == {"(rank 0, n0)", "(rank 1, n1)"}


@pytest.mark.soak
def test_a_killed_head_ends_the_job_and_its_log_still_answers(user: User, script: Callable[[str], Path]) -> None:
    path = script("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    client = user.start("train", "--script", str(path), "--strategy", "plain", "-c", user.stack)
    assert client.stdout is not None
    until(lambda: b"(rank 1, n1) begun" in client.stdout.readline(), "the job's lines")  # type: ignore[union-attr]
    copy = user.home / "stacks" / user.stack / "records" / str(user.jobs()[-1]["id"]) / "job.log"
    until(lambda: b"begun" in copy.read_bytes(), "the log's copy")
    os.kill(user.nodes()["n0"]["pid"], signal.SIGKILL)
    other = FaultyNode(user.home / "local" / user.stack / "n1")
    assert other.ranks()
    until(lambda: not other.ranks(), "the other rank ended within its lease", seconds=LEASE_S + 1)
    until(lambda: not other.daemons(), "its supervisor too", seconds=5)
    rest = client.communicate(timeout=20)[0].decode()
    assert client.returncode == 4, rest
    assert "lost node n0 (the head)" in rest
    job = user.jobs()[-1]
    assert job["status"] == "FAILED"
    kept = user.run("logs", "-c", user.stack, check=4)
    assert b"begun" in kept.out
    user.run("up", "-c", user.stack)
    path.write_text("print('whole again')\n")
    done = user.run("train", "--script", str(path), "--strategy", "plain", "-c", user.stack)
    assert ranks_in(done.lines) == {"(rank 0, n0)", "(rank 1, n1)"}
    assert user.jobs()[-1]["id"] == job["id"] + 1
