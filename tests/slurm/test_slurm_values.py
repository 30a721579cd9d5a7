"""What Slurm says and is asked, as values: no Slurm is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from skyrig.cluster.description import Accelerators, Partition
from skyrig.errors import BadInput, ResourcesMismatch
from skyrig.launch.job import Cause, JobRequest, JobStatus, Scripts
from skyrig.launch.submission import BatchOptions
from skyrig.schedulers.slurm import files, look, options, rank, site, statuses

JOB = {"name": "a", "num_nodes": 2, "submitted_at": 5.0, "user": "u", "key": ""}
STATE = {"phase": "run", "attempt": 0, "nodes": ["c0", "c1"], "at": 6.0}
RESULT = {"status": "FAILED", "code": 7, "codes": [143, 7], "culprit": 1, "reason": "rank 1 on c1 exited with code 7",
          "cause": "script", "attempt": 0, "at": 9.0}  # fmt: skip


def facts(slurm: str, **more: Any) -> dict[str, Any]:
    base = {"id": 3, "uid": "j", "job": JOB, "state": STATE, "result": None, "told": None, "cancelled": None}
    return {**base, "slurm": {"state": slurm, "reason": "Resources", "restarts": 0, **more.pop("word", {})}, **more}


@pytest.mark.parametrize(
    ("told", "status", "code", "cause"),
    [
        (facts("PENDING", state=None), JobStatus.PENDING, None, Cause.NONE),
        (facts("RUNNING", state=None), JobStatus.SETTING_UP, None, Cause.NONE),
        (facts("RUNNING", state={**STATE, "phase": "setup"}), JobStatus.SETTING_UP, None, Cause.NONE),
        (facts("RUNNING"), JobStatus.RUNNING, None, Cause.NONE),
        (facts("COMPLETING", result=RESULT), JobStatus.FAILED, 7, Cause.SCRIPT),
        (facts("FAILED", result=RESULT), JobStatus.FAILED, 7, Cause.SCRIPT),
        (facts("GONE", result=RESULT), JobStatus.FAILED, 7, Cause.SCRIPT),
        (facts("PENDING", result=RESULT), JobStatus.PENDING, None, Cause.NONE),
        (facts("COMPLETED"), JobStatus.SUCCEEDED, 0, Cause.NONE),
        (facts("TIMEOUT"), JobStatus.FAILED, 143, Cause.SURROUNDINGS),
        (facts("CANCELLED"), JobStatus.CANCELLED, 143, Cause.NONE),
        (facts("FAILED", cancelled="cancelled"), JobStatus.CANCELLED, 143, Cause.NONE),
        (facts("NODE_FAIL"), JobStatus.FAILED, 4, Cause.NODE),
        (facts("PREEMPTED"), JobStatus.FAILED, 4, Cause.PREEMPTION),
        (facts("OUT_OF_MEMORY"), JobStatus.FAILED, 137, Cause.SCRIPT),
        (facts("GONE"), JobStatus.FAILED, 4, Cause.NODE),
        (facts("GONE", told={"state": "TIMEOUT", "at": 8.0}), JobStatus.FAILED, 143, Cause.SURROUNDINGS),
        (facts("FAILED", word={"exit": "0:9"}), JobStatus.FAILED, 137, Cause.SURROUNDINGS),
    ],
)
def test_records(told: dict[str, Any], status: JobStatus, code: int | None, cause: Cause) -> None:
    """Each of Slurm's states, with and without the job's own word."""
    record = statuses.record(told)
    assert (record.status, record.exit_code, record.cause) == (status, code, cause)
    assert bool(record.reason) == (status in (JobStatus.PENDING, JobStatus.FAILED, JobStatus.CANCELLED))


def test_what_begins_anew_says_so() -> None:
    """The requeue of a lost node is the recovery."""
    again = facts("PENDING", word={"reason": "BeginTime", "restarts": 2})
    record = statuses.record(again)
    assert record.restarts == 2 and record.reason == "begins anew (2. time); Slurm: BeginTime"


ROWS = [
    ["gpu", "4", "64+", "515000+", "2-00:00:00", "gpu*", "gpu:h100:8(S:0-1)"],
    ["gpu", "2", "32", "128000", "2-00:00:00", "gpu*", "gpu:a100:4"],
    ["cpu", "100", "128", "256000", "infinite", "cpu", "(null)"],
]


def test_partitions_out_of_sinfo() -> None:
    """Unlike nodes of one partition are one; the largest counts."""
    gpu, cpu = look.partitions(ROWS)
    assert gpu == Partition("gpu", 6, 64.0, 502.93, Accelerators("h100", 8), True, "2-00:00:00")
    assert (cpu.nodes, cpu.accelerators.count, cpu.is_default) == (100, 0, False)


def test_lines_of_a_batch_script() -> None:
    """Types of accelerators are Slurm's own names."""
    gpu = look.partitions(ROWS)[0]
    more, account, for_cpus = options.of_config(
        {"sbatch_options": {"time": "1:00:00", "exclusive": None, "mail_user": "me@x"},
         "quota": {"queue": "high", "account": "lab"}, "cpu_partition": "cpu"}
    )  # fmt: skip
    assert (account, for_cpus) == ("lab", "cpu")
    asked = BatchOptions("gpu", 8, 64.0, "H100", account, more)
    request = JobRequest("my job", 2, Scripts({}), accelerators=4)
    assert options.lines(request, asked, gpu) == [
        "--job-name=my-job", "--nodes=2", "--ntasks-per-node=1", "--output=batch.out", "--open-mode=append",
        "--requeue", "--partition=gpu", "--account=lab", "--cpus-per-task=8", "--mem=65536M", "--gres=gpu:h100:4",
        "--signal=B:USR1@120", "--time=1:00:00", "--exclusive", "--mail-user=me@x", "--qos=high",
    ]  # fmt: skip


def test_the_rendered_script() -> None:
    """Byte for byte."""
    request = JobRequest("golden", 2, Scripts({}), accelerators=8, env={"A": "value"}, secrets={"S": "secret"})
    golden = Path(__file__).parent / "golden" / "batch.sh"
    assert files.script(request, BatchOptions(more={"time": "10"}), look.partitions(ROWS)[0]) == golden.read_text()


@pytest.mark.parametrize(
    ("asked", "nodes", "gpus"),
    [(BatchOptions(), 7, 0), (BatchOptions(cpus=65), 1, 0), (BatchOptions(memory_gb=600), 1, 0),
     (BatchOptions(accelerator="A10G"), 1, 1), (BatchOptions(accelerator="H100"), 1, 16)],
)  # fmt: skip
def test_what_no_node_has_is_refused(asked: BatchOptions, nodes: int, gpus: int) -> None:
    """Before Slurm would let it wait for ever."""
    with pytest.raises(ResourcesMismatch):
        options.refuse_misfit(look.partitions(ROWS)[0], asked, nodes, gpus)


@pytest.mark.parametrize("name", ["nodes", "array", "wrap", "output", "export", "x\n#SBATCH y"])
def test_options_that_are_ours(name: str) -> None:
    """A task does not set them."""
    with pytest.raises(BadInput):
        options.of_config({"sbatch_options": {name: "1"}})


def test_a_ranks_variables() -> None:
    """In the layers of every job: what is fixed stands above the user's."""
    said = {
        "env": {"MASTER_PORT": "1", "SKYPILOT_NODE_RANK": "9", "A": "b"},
        "given": {"G": "h"},
        "fabric": {"F": "1"},
        "task_id": "t",
        "cluster_info": "{}",
        "user": "u",
        "accelerators": 0,
        "procs": 1,
        "num_nodes": 2,
    }
    attempt = {"nodes": ["c0", "c1"], "addresses": ["10.0.0.1", "10.0.0.2"], "port": 7000}
    env = rank.rank_variables(said, attempt, 1, 33, 4)
    wanted = {
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "1",
        "SKYPILOT_NODE_RANK": "1",
        "SKYRIG_TASK_ID": "t",
        "G": "h",
        "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
        "SKYPILOT_INTERNAL_JOB_ID": "33",
        "OMP_NUM_THREADS": "4",
    }
    assert wanted.items() <= env.items()


def test_a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ssh_config says it; an unknown host key is refused with what to do."""
    monkeypatch.setenv(site.CONFIG, str(tmp_path / "config"))
    key = "AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS"
    private = site.asyncssh.generate_private_key("ssh-ed25519")
    private.write_private_key(str(tmp_path / "id"))
    (tmp_path / "config").write_text(
        f"Host hpc\n  HostName login.example\n  Port 2222\n  ProxyJump gate\nHost gate\n  HostName gate.example\n"
        f"Host *\n  User ann\n  IdentityFile {tmp_path / 'id'}\n"
    )
    with pytest.raises(BadInput, match="ssh-keyscan"):
        site.find("hpc")
    (tmp_path / "known_hosts").write_text(f"[login.example]:2222 ssh-ed25519 {key}\ngate.example ssh-ed25519 {key}\n")
    found = site.find("hpc")
    assert (found.login.host, found.login.port, found.login.user) == ("login.example", 2222, "ann")
    assert found.login.jump is not None and found.login.jump.host == "gate.example"
    assert found.login.host_key == f"ssh-ed25519 {key}"
    with pytest.raises(BadInput, match="no Slurm cluster is called other"):
        site.find("other")
    private.write_private_key(str(tmp_path / "id"), "pkcs8-pem", passphrase="x")
    with pytest.raises(BadInput, match="passphrase"):
        site.find("hpc")


def test_files_of_partitions_are_values() -> None:
    """Other nodes, another partition."""
    gpu = look.partitions(ROWS)[0]
    assert options.partition_of((gpu,), "") == gpu
    with pytest.raises(BadInput, match="there is no partition x"):
        options.partition_of((gpu,), "x")
    with pytest.raises(BadInput, match="no default"):
        options.partition_of((evolve(gpu, is_default=False),), "")
