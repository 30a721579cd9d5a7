"""Nodes of a real Slurm die: Slurm begins the job anew, and it is the same job."""

from __future__ import annotations

import asyncio
import json

import pytest
from attrs import evolve
from slurm_user import SlurmUser
from user import until

from skyrig import schedulers
from skyrig.cluster.description import from_json
from skyrig.launch.job import JobRequest, Scripts
from skyrig.launch.submission import Submission
from skyrig.schedulers.slurm.client import CLIENT

pytestmark = [pytest.mark.e2e, pytest.mark.soak]

RUN = """
echo "task $SKYPILOT_TASK_ID attempt ${SLURM_RESTART_COUNT:-0}"
if [ -e ~/go ]; then exit 0; fi
sleep 300
"""


@pytest.mark.parametrize("dies", ["c0", "c1"])
def test_a_node_dies_and_the_job_begins_anew(person: SlurmUser, dies: str) -> None:
    """Whether it is the one with the batch step or another one."""
    (person.there / "go").unlink(missing_ok=True)
    person.launch("survivor", RUN, "-d", "--secret", "TOKEN=abcdef", num_nodes=2)
    number = person.job()["id"]
    until(lambda: person.job(number)["status"] == "RUNNING", "it runs")
    folder = person.folder_of(number)
    until(lambda: b"attempt 0" in (folder / "job.log").read_bytes(), "both ranks are there")
    person.slurm.kill_node(dies)
    (person.there / "go").touch()
    until(lambda: person.job(number)["status"] == "PENDING", "Slurm gave the node up and wants it anew", 60)
    assert (folder / "secret.json").exists()
    person.slurm.start_node(dies)

    def ended() -> bool:
        person.slurm.hurry(number)
        return bool(person.job(number)["status"] == "SUCCEEDED")

    until(ended, "it ran to its end", 60)
    done = person.run("logs", "-c", "hpc", "-j", str(number))
    said = {line.split("task ")[1].split()[0] for line in done.lines if "task sky-" in line}
    assert len(said) == 1 and any("attempt 1" in line for line in done.lines), done.told()
    assert "begins the job anew" in done.told()
    assert not (folder / "secret.json").exists()


def test_a_submission_that_is_repeated_is_the_same_job(person: SlurmUser) -> None:
    """Also where the client died after Slurm had taken it, before that was written down."""
    desc = from_json(json.loads((person.home / "stacks" / "hpc" / "cluster.json").read_text())["cluster"])
    what = Submission(JobRequest("once", 1, Scripts({"run.sh": "echo once"}), key="k1"))

    def submit() -> int:
        return asyncio.run(CLIENT.submit(desc, what, lambda: desc, lambda line: None)).id

    first = submit()
    assert submit() == first
    (person.folder_of(first) / "id").unlink()
    assert submit() == first


def test_a_cluster_of_our_own_with_slurm(person: SlurmUser) -> None:
    """By its description alone: what Slurm has there is asked when a job is submitted."""
    desc = from_json(json.loads((person.home / "stacks" / "hpc" / "cluster.json").read_text())["cluster"])
    ours = evolve(desc, cloud="aws", region="r", zone="z", partitions=())
    assert schedulers.client(ours) is CLIENT and schedulers.client(evolve(ours, scheduler="")) is not CLIENT
    what = Submission(JobRequest("ours", 1, Scripts({"run.sh": "echo ours"})))
    number = asyncio.run(CLIENT.submit(ours, what, lambda: ours, lambda line: None)).id
    until(lambda: person.job(number)["status"] == "SUCCEEDED", "it ran", 40)
