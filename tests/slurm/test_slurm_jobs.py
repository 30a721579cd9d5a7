"""Jobs on a real Slurm: slurmctld, two slurmd, and a stock sshd as login node."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from slurm_user import SlurmUser
from user import until

pytestmark = pytest.mark.e2e


def test_a_job_with_files_setup_and_secrets(person: SlurmUser, tmp_path: Path) -> None:
    """Workdir and mounts are there, setup ran once, secrets reach the job and nothing else."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "hello.txt").write_text("from the workdir\n")
    (tmp_path / "extra.txt").write_text("from a mount\n")
    secret = f"s3cret-{os.getpid()}-value"
    run = """
cat hello.txt ~/extra/extra.txt ~/made
echo "task $SKYPILOT_TASK_ID rank $SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES"
[ "$TOKEN" = "$(cat ~/wanted)" ] && echo token is right
ps -ef > ~/ps.txt; scontrol show job -dd "$SLURM_JOB_ID" > ~/scontrol.txt
scontrol write batch_script "$SLURM_JOB_ID" ~/script.txt
"""
    (person.there / "wanted").write_text(secret)
    person.env["TOKEN"] = secret  # not in an argv of the user's own
    more = {
        "workdir": str(work),
        "setup": "echo set up; echo made >> ~/made",
        "file_mounts": {"~/extra/extra.txt": str(tmp_path / "extra.txt")},
    }
    first = person.launch("full", run, "--secret", "TOKEN", **more)
    for line in ("from the workdir", "from a mount", "made", "token is right"):
        assert line in first.lines, first.told()
    again = person.launch("full", run, "--secret", "TOKEN", **more)
    assert again.lines.count("made") == 1, again.told()
    job = person.job()
    assert job["status"] == "SUCCEEDED" and job["exit_codes"] == [0]
    _nowhere(person, secret, person.folder_of(job["id"]))


def _nowhere(person: SlurmUser, secret: str, folder: Path) -> None:
    for name in ("ps.txt", "scontrol.txt", "script.txt"):
        assert secret not in (person.there / name).read_text(), name
    for file in [*person.slurm.folder.rglob("*"), *folder.rglob("*")]:
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file
    assert not (folder / "secret.json").exists()


def test_two_nodes_with_torchrun(person: SlurmUser, tmp_path: Path) -> None:
    """Ranks find each other; each line names its rank and node."""
    (tmp_path / "sum.py").write_text(
        "import torch, torch.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "one = torch.ones(1)\n"
        "dist.all_reduce(one)\n"
        "print('sum', int(one), 'of', dist.get_world_size(), flush=True)\n"
        "dist.destroy_process_group()\n"
    )
    words = ("train", "--script", str(tmp_path / "sum.py"), "-c", "hpc", "--nodes", "2", "--strategy", "torchrun")
    done = person.run(*words, timeout=240)
    for rank in (0, 1):
        assert f"(rank {rank}, c{rank}) sum 2 of 2" in done.lines, done.told()


def test_exit_codes_are_the_scripts_own(person: SlurmUser) -> None:
    """The first rank that fails by its own doing says the code, and ends the other."""
    run = 'if [ "$SKYPILOT_NODE_RANK" = 1 ]; then exit 7; fi; sleep 300'
    began = time.monotonic()
    done = person.launch("seven", run, num_nodes=2, check=7)
    assert "rank 1 on c1 exited with code 7" in done.told()
    assert time.monotonic() - began < 200
    job = person.job()
    assert (job["status"], job["exit_codes"][1]) == ("FAILED", 7)
    state = person.slurm.run("scontrol", "-o", "show", "job", str(job["id"]))
    assert "JobState=FAILED" in state and "ExitCode=7:0" in state


def test_queue_logs_and_cancel(person: SlurmUser) -> None:
    """What waits says Slurm's reason; logs are followed while the job runs; cancel ends both."""
    person.launch("long", "for i in $(seq 600); do echo line $i; sleep 0.2; done", "-d", num_nodes=2)
    running = person.job()["id"]
    person.launch("waits", "echo never", "-d", resources={"cpus": 2})
    waiting = person.job()["id"]
    until(lambda: person.job(running)["status"] == "RUNNING", "the first job runs", 120)
    until(lambda: "Resources" in person.job(waiting)["reason"], "the second one says why it waits", 120)
    follower = person.start("logs", "-c", "hpc", "-j", str(running), "--rank", "1")
    try:
        assert follower.stdout is not None
        seen = next(line for line in follower.stdout if b"line 5" in line)
        assert seen == b"(rank 1, c1) line 5\n"
        assert person.job(running)["status"] == "RUNNING"
        person.run("cancel", "-c", "hpc", "--all")
        assert follower.wait(120) == 143
    finally:
        follower.kill()
    for number in (running, waiting):
        assert person.job(number)["status"] == "CANCELLED"
        assert not (person.folder_of(number) / "secret.json").exists()
    words = ("logs", "-c", "hpc", "-j", str(running), "--rank", "1", "--no-follow", "--tail", "3")
    assert len(person.run(*words, check=143).lines) == 3


def test_what_slurm_does_not_give_is_refused_before_anything_is_made(person: SlurmUser) -> None:
    """One line each, exit 2, and no job."""
    before = len(person.jobs())
    refused = {
        "an autostop": ("-i", "10"),
        "more nodes than there are": ("--nodes", "3"),
        "more cores than nodes have": ("--cpus", "64"),
        "accelerators": ("--gpus", "H100:8"),
        "another partition": ("--infra", "slurm/hpc/none"),
    }
    for what, words in refused.items():
        done = person.launch("no", "echo no", *words, check=2)
        assert len(done.err.splitlines()) <= 4, f"{what}: {done.told()}"
    assert person.run("autostop", "-c", "hpc", "-i", "5", check=2).err.count(b"Slurm") >= 1
    assert person.run("stop", "-c", "hpc", "-y", check=2).err.count(b"Slurm") >= 1
    assert len(person.jobs()) == before


def test_render_shows_the_script(person: SlurmUser, tmp_path: Path) -> None:
    """With what the task asks of Slurm, and no value of the user's in it."""
    task = person.task(
        "shown", "echo $A", envs={"A": "value-of-a"}, resources={"infra": "slurm/hpc/short", "cpus": 2, "memory": 1},
        config={"slurm": {"sbatch_options": {"time": "5:00", "exclusive": None}, "quota": {"account": "lab"}}},
    )  # fmt: skip
    person.run("render", task, "-c", "hpc", "--out", str(tmp_path / "out"))
    script = (tmp_path / "out" / "rank-0" / "batch.sh").read_text()
    for line in (
        "--partition=short",
        "--cpus-per-task=2",
        "--mem=1024M",
        "--time=5:00",
        "--exclusive",
        "--account=lab",
    ):
        assert f"#SBATCH {line}\n" in script
    assert "value-of-a" not in script
    assert subprocess.run(["shellcheck", "-"], input=script, text=True, check=False).returncode == 0


def test_status_and_down_leave_the_cluster_as_it_was(person: SlurmUser) -> None:
    """Only our folder goes; records and logs stay here."""
    row = person.json("status", "-c", "hpc")["clusters"][0]
    assert (row["status"], row["cloud"], row["region"]) == ("UP", "slurm", "hpc")
    assert row["hourly_cost"] == 0
    jobs = len(person.jobs())
    (person.there / "mine").write_text("stays")
    person.run("down", "-c", "hpc", "-y", timeout=240)
    assert not person.base.exists() and (person.there / "mine").exists()
    assert len(person.jobs()) == jobs
    kept = person.run("logs", "-c", "hpc", "-j", str(person.jobs()[0]["id"]))
    assert "token is right" in kept.lines, kept.told()
