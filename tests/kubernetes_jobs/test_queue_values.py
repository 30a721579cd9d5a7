"""What a job of a Kubernetes queue is made of and what is made of its state, as values: no cluster is needed."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from components.kubernetes.jobs import describe
from skyrig.clouds.kubernetes import machines
from skyrig.cluster.description import from_json
from skyrig.errors import BadInput
from skyrig.launch.files import gathered
from skyrig.launch.job import Cause, JobRequest, JobStatus, Scripts
from skyrig.launch.submission import BatchOptions, Submission
from skyrig.schedulers.kubernetes import archive, devices, names, pods, statuses, submitting, texts
from skyrig.schedulers.kubernetes.asked import Asked, claims_of, queue_of
from skyrig.schedulers.kubernetes.book import Book

GOLDEN = Path(__file__).with_name("golden")
DESC = from_json(
    describe("lab", "n0", {"context": "ctx", "namespace": "team", "host": "h", "port": 443, "partitions": []})
)
H100 = {"nvidia.com/gpu.product": ["NVIDIA-H100-80GB-HBM3"]}

CASES: dict[str, tuple[JobRequest, Asked, dict[str, list[str]], bool]] = {
    "one": (JobRequest("one", 1, Scripts({"run.sh": "echo hi\n"}), user="me"), Asked(cpus=2, memory_gb=4), {}, True),
    "two-h100": (
        JobRequest("train", 2, Scripts({"run.sh": "torchrun\n"}), Scripts({"setup.sh": "true\n"}, "setup.sh"),
                   {"A": "it's"}, accelerators=8, user="me"),
        Asked(image="img:1", accelerator="H100", count=8, max_restarts=2, claims={"/data": "claim"}),
        H100, True,
    ),
    "queued": (
        JobRequest("q", 2, Scripts({"run.sh": "x\n"}), user="me"),
        Asked(queue="team", priority="high", labels={"team": "a"},
              pod={"spec": {"schedulerName": "s", "containers": [{"env": [{"name": "E", "value": "1"}]}],
                            "tolerations": [{"key": "k", "operator": "Exists"}]}}),
        {}, True,
    ),
    "secret": (JobRequest("s", 1, Scripts({"run.sh": "x\n"}), secrets={"TOKEN": "hunter2"}, user="me"), Asked(), {},
               True),
    "job": (JobRequest("j", 2, Scripts({"run.sh": "x\n"}), user="me"), Asked(), {}, False),
}  # fmt: skip


def made(case: str) -> list[dict[str, Any]]:
    """The objects of a case as they may be shown."""
    request, asked, chosen, jobset = CASES[case]
    what = Submission(attrs.evolve(request, key="k"), batch=BatchOptions(said=attrs.asdict(asked, recurse=False)))
    return submitting.of_job(DESC, what, asked, [], b"", 7, chosen, jobset=jobset, now=1.5).shown


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    """Byte for byte; SKYRIG_GOLDEN=1 writes them anew."""
    text, file = yaml.safe_dump_all(made(case), sort_keys=False), GOLDEN / f"{case}.yaml"
    if os.environ.get("SKYRIG_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text() and "hunter2" not in text and "aHVudGVyMg" not in text


def pod(rank: int, phase: str = "Running", code: int | None = None, message: str = "", **more: Any) -> dict[str, Any]:
    """A pod as the API tells of it."""
    state = {"terminated": {"exitCode": code, "finishedAt": "2026-11-22T10:00:05Z", "message": message}}
    containers = [{"name": "node", "state": state}] if code is not None else []
    return {"metadata": {"labels": {statuses.INDEX: str(rank)}, "creationTimestamp": "2026-11-22T10:00:00Z"},
            "spec": {"nodeName": f"m{rank}"},
            "status": {"phase": phase, "startTime": "2026-11-22T10:00:01Z", "containerStatuses": containers, **more},
            }  # fmt: skip


def jobset(condition: str = "", suspend: bool = False, **status: Any) -> dict[str, Any]:
    """A JobSet of two nodes."""
    made = submitting.of_job(
        DESC, Submission(JobRequest("t", 2, Scripts({}), key="k")), Asked(), [], b"", 3, {}, jobset=True, now=1.0
    ).workload
    ends = [{"type": condition, "status": "True", "lastTransitionTime": "2026-11-22T10:00:09Z", "message": "said"}]
    return {**made, "metadata": {**made["metadata"], "uid": "u"}, "spec": {**made["spec"], "suspend": suspend},
            "status": {**status, **({"conditions": ends} if condition else {})}}  # fmt: skip


LATER = '{"phase": "run", "code": 7, "at": 9.5, "told": false}'
EARLIER = '{"phase": "run", "code": 5, "at": 9.4, "told": false}'
TOLD = '{"phase": "run", "code": 3, "at": 9.3, "told": true}'
SETUP = '{"phase": "setup", "code": 9, "at": 9.3, "told": false}'
TAKEN = {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]}
UNFIT = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/5 nodes are available"}]}


@pytest.mark.parametrize(
    ("workload", "there", "status", "code", "culprit", "cause", "reason"),
    [
        (jobset(suspend=True), [], JobStatus.PENDING, None, -1, Cause.NONE, "cut off"),
        (jobset(), [], JobStatus.PENDING, None, -1, Cause.NONE, "being made"),
        (jobset(), [pod(0), pod(1, "Pending", **UNFIT)], JobStatus.PENDING, None, -1, Cause.NONE, "0/5 nodes"),
        (jobset(restarts=1), [pod(0, "Pending")], JobStatus.PENDING, None, -1, Cause.NONE, "begins anew (1. time)"),
        (jobset(), [pod(0), pod(1)], JobStatus.RUNNING, None, -1, Cause.NONE, ""),
        (jobset(), [pod(1, "Failed", 7)], JobStatus.RUNNING, None, -1, Cause.NONE, ""),
        (jobset("Completed"), [pod(0), pod(1)], JobStatus.SUCCEEDED, 0, -1, Cause.NONE, ""),
        (jobset("Failed"), [pod(0, "Failed", 7, LATER), pod(1, "Failed", 5, EARLIER)],
         JobStatus.FAILED, 5, 1, Cause.SCRIPT, "rank 1 on m1 exited with code 5"),
        (jobset("Failed"), [pod(0, "Failed", 3, TOLD), pod(1, "Failed", 7, LATER)],
         JobStatus.FAILED, 7, 1, Cause.SCRIPT, "rank 1 on m1"),
        (jobset("Failed"), [pod(0, "Failed", 9, SETUP)], JobStatus.FAILED_SETUP, 9, 0, Cause.SCRIPT, "setup exited"),
        (jobset("Failed"), [pod(0, "Failed", **TAKEN)], JobStatus.FAILED, 4, -1, Cause.PREEMPTION, "lost node"),
        (jobset("Failed"), [], JobStatus.FAILED, 1, -1, Cause.SURROUNDINGS, "Kubernetes: said"),
        (jobset("Failed"), [pod(0, "Failed", 6, "no JSON")], JobStatus.FAILED, 6, 0, Cause.SCRIPT, "rank 0 on m0"),
    ],
)  # fmt: skip
def test_records(
    workload: Any, there: Any, status: JobStatus, code: int | None, culprit: int, cause: Cause, reason: str
) -> None:
    """Each state of a JobSet and its pods."""
    record = statuses.record(workload, there)
    assert (record.status, record.exit_code, record.culprit, record.cause) == (status, code, culprit, cause)
    assert reason in record.reason and (record.id, record.num_nodes, record.key) == (3, 2, "k")


def test_a_book_takes_each_line_once(tmp_path: Path) -> None:
    """However often it is read: logs are asked for from a second on, and by several followers."""
    first = b"2026-01-01T00:00:01.1Z [skyrig] setup begins\n2026-01-01T00:00:01.2Z a\n2026-01-01T00:00:01.3Z a\n"
    more = b"2026-01-01T00:00:01.3Z a\n2026-01-01T00:00:01.4Z [skyrig] setup ended\n2026-01-01T00:00:02.0Z b\n"
    book = Book(tmp_path)
    assert [row[1:] for row in book.add("p", 0, first)] == [(1000000, b"[skyrig] setup begins"), (1000000, b"a"),
                                                           (1000000, b"a")]  # fmt: skip
    assert book.since("p") == "2026-01-01T00:00:01Z"
    assert [row[2] for row in book.add("p", 0, first + more.partition(b"\n")[2])] == [b"[skyrig] setup ended", b"b"]
    book.keep()
    other = Book(tmp_path)
    assert len(other.kept()) == 5 and other.add("p", 0, first) == []
    assert other.add("q", 1, b"2026-01-01T00:00:00.5Z earlier\n")
    other.keep()
    assert (tmp_path / "job.log").read_bytes().splitlines()[0] == b"1|earlier"
    assert len((tmp_path / "job.log").read_bytes().splitlines()) == 6


def test_files_in_one_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal files make equal archives; too many are refused with what to do."""
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    work = tmp_path / "work"
    (work / "deep").mkdir(parents=True)
    (work / "deep" / "a.sh").write_text("x")
    (work / "deep" / "a.sh").chmod(0o755)
    (work / "link").symlink_to("deep/a.sh")
    (tmp_path / "one.txt").write_text("1")

    def packed() -> bytes:
        return archive.packed(gathered("s", work, {"~/to/two.txt": tmp_path / "one.txt"}, [], lambda line: None))

    with tarfile.open(fileobj=io.BytesIO(packed())) as tar:
        there = {member.name: (member.mode, member.linkname) for member in tar.getmembers()}
    assert packed() == packed() and there["0/link"][1] == "deep/a.sh"
    assert there["0/deep/a.sh"][0] == 0o755 and "1/two.txt" in there
    (work / "large").write_bytes(os.urandom(1_000_000))
    with pytest.raises(BadInput, match="too large"):
        packed()


@pytest.mark.parametrize(
    ("asked", "there", "same"),
    [("H100", "NVIDIA-H100-80GB-HBM3", True), ("H100", "nvidia-h100-80gb", True), ("H200", "nvidia-h100-80gb", False),
     ("A100-80GB", "NVIDIA-A100-SXM4-80GB", True), ("A100-80GB", "nvidia-tesla-a100", False),
     ("L4", "nvidia-l4", True), ("L4", "nvidia-l40s", False), ("MI300X", "AMD_Instinct_MI300X_OAM", True)],
)  # fmt: skip
def test_names_of_accelerators(asked: str, there: str, same: bool) -> None:
    """A label's value means a name or not."""
    assert devices.same(asked, there) is same


def test_small_things() -> None:
    """Names, merging, queues, volumes, quantities."""
    assert names.slug("lab") == "lab" and names.slug("Lab") != names.slug("lab") and len(names.slug("x" * 63)) <= 38
    assert names.hosts("lab-1", 2, jobset=True) == ["lab-1-node-0-0.lab-1", "lab-1-node-0-1.lab-1"]
    assert names.hosts("lab-1", 2, jobset=False) == ["lab-1-0.lab-1", "lab-1-1.lab-1"]
    both = pods.merged({"env": [{"name": "A", "value": "1"}], "x": [1], "d": {"k": 1}},
                       {"env": [{"name": "A", "value": "2"}, {"name": "B"}], "x": [2], "d": {"l": 2}})  # fmt: skip
    assert both == {"env": [{"name": "A", "value": "2"}, {"name": "B"}], "x": [1, 2], "d": {"k": 1, "l": 2}}
    assert queue_of({"kueue": {"local_queue_name": "a"}, "quota": {"queue": "b", "priority_class": "p"}}) == ("a", "p")
    with pytest.raises(BadInput, match="by name"):
        claims_of({"/x": {"name": "y", "size": 3}})
    assert [machines.quantity(each) for each in ("250m", "16", "2Gi", "1k")] == [0.25, 16, 2 << 30, 1000]
    assert texts.exports({"A": "it's", "b ad": "x"}) == "export A='it'\"'\"'s'\n"
