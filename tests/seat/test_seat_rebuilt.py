"""Managed jobs found again when the controller's folder was lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from attrs import evolve

from skyrig import places
from skyrig.cluster.shape import Shape, WantedNode
from skyrig.control import client, folder, surroundings, table
from skyrig.control.jobs import rebuilding, wards
from skyrig.control.ward import JOB, Ward, Wish
from skyrig.errors import BadInput, SkyrigError
from skyrig.jobs import kept
from skyrig.jobs.spec import ManagedSpec, RecoverySpec
from skyrig.jobs.state import ManagedJob, ManagedStatus, Recovery, TaskState
from skyrig.launch import records
from skyrig.launch.job import Cause, JobRecord, JobStatus
from skyrig.stack import backend, config
from skyrig.task import reading
from skyrig.task.model import Task

SECRET = "s3cret-of-a-task"
SPEC = ManagedSpec((RecoverySpec(restarts=2), RecoverySpec(hang_s=60.0)), retry=False, user="ada")


@pytest.fixture
def started(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the controller would have been started, each time."""
    calls: list[bool] = []
    monkeypatch.setattr(client, "ensure", lambda: calls.append(True))
    project = tmp_path / "project"
    (project / "stacks").mkdir(parents=True)
    shutil.copy(places.shipped() / "Pulumi.yaml", project)
    monkeypatch.setattr("skyrig.stack.project.find", lambda: project)
    return calls


def task_of(work: Path, number: int) -> Task:
    """A task with a workdir and a secret."""
    work.mkdir(exist_ok=True)
    (work / "a.py").write_text("print(1)")
    return reading.loads(f"name: t{number}\nworkdir: {work}\nsecrets: {{T: {SECRET}}}\nrun: python a.py\n", "t").only()


def job_of(number: int) -> ManagedJob:
    """A pipeline of two tasks, of which none has begun."""
    states = tuple(TaskState(k, f"t{k}", f"sky-{number}-{k}", f"t{k}-{number}", 2) for k in range(2))
    return ManagedJob(number, "pipe", states, 100.0, "ada")


def entered(work: Path, number: int | None = None) -> tuple[Ward, ManagedJob]:
    """A job that was launched."""
    job = job_of(table.number(JOB) if number is None else number)
    return wards.enter(job, [task_of(work, 0), task_of(work, 1)], SPEC), job


def with_task(job: ManagedJob, index: int, **fields: object) -> ManagedJob:
    """The job with another state of a task."""
    return evolve(job, tasks=tuple(evolve(t, **fields) if t.index == index else t for t in job.tasks))


def lost() -> None:
    """The controller's folder is lost."""
    shutil.rmtree(folder.root())


def record(job_id: int, key: str, at: float) -> JobRecord:
    """A job of a cluster."""
    return JobRecord(job_id, f"u{job_id}", "t0", JobStatus.RUNNING, 2, at, key=key)


def keep_record(stack: str, found: JobRecord) -> None:
    """As the keeper brings it to the stack's records."""
    records.write(places.made(places.records(stack) / str(found.id)), found)


def test_a_job_is_found_as_it_was_with_its_packages_and_surroundings(
    started: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_CLOUDS_KEY", SECRET)
    ward, job = entered(tmp_path / "work")
    recovery = Recovery(5.0, Cause.PREEMPTION, "n1 was lost", ("n1",), took_s=7.0)
    job = with_task(job, 0, status=ManagedStatus.RUNNING, attempt=2, jobs=(1, 2), recoveries=(recovery,), restarts=1)
    before = wards.put(ward, job)
    assert before is not None
    shutil.rmtree(tmp_path / "work")
    lost()
    monkeypatch.delenv("SOME_CLOUDS_KEY")
    lines: list[str] = []
    assert rebuilding.settle(lines.append) == [1]
    assert len(lines) == 1
    assert "managed job 1" in lines[0]
    assert started == [True]
    after = table.ward("1", JOB)
    assert after is not None
    told = {"key": "managed-1-0-2", "head": "", "job": 2}  # there is no cluster to tell which machine its head is
    expected = evolve(before, data={**before.data, "told": told})
    assert evolve(after, created_at=0, changed_at=0) == evolve(expected, created_at=0, changed_at=0)
    assert wards.job(after) == job
    assert wards.spec(after) == SPEC
    for index in range(2):
        task = wards.task(after, index)
        assert (task.name, task.secrets) == (f"t{index}", {"T": SECRET})
        assert task.folder is not None
        assert (task.folder / "a.py").read_text() == "print(1)"
    assert surroundings.of(JOB, "1").environment["SOME_CLOUDS_KEY"] == SECRET
    assert rebuilding.settle(lines.append) == []
    assert (len(lines), table.number(JOB)) == (1, 2)


def test_nothing_secret_is_kept_in_plain(started: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_CLOUDS_KEY", SECRET)
    entered(tmp_path / "work")
    files = [file for file in places.home().rglob("*") if file.is_file()]
    assert len(files) > 8
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]


def test_the_second_task_of_a_pipeline_is_found_at_work(started: list[bool], tmp_path: Path) -> None:
    ward, job = entered(tmp_path / "work")
    wards.put(ward, with_task(job, 0, status=ManagedStatus.RUNNING, attempt=1))
    job = with_task(with_task(job, 0, status=ManagedStatus.SUCCEEDED, attempt=1), 1, status=ManagedStatus.STARTING)
    wards.put(ward, job)
    assert (kept.mark("t0-1"), kept.mark("t1-1")) == ("1-0", "1-1")
    lost()
    assert rebuilding.settle() == [1]
    found = table.ward("1", JOB)
    assert found is not None
    assert (found.stack, wards.job(found)) == ("t1-1", job)


def test_an_attempt_that_was_submitted_after_the_last_word_is_known(started: list[bool], tmp_path: Path) -> None:
    ward, job = entered(tmp_path / "work")
    wards.put(ward, with_task(job, 0, status=ManagedStatus.RUNNING, attempt=1, jobs=(1,)))
    keep_record("t0-1", record(1, "managed-1-0-1", 101.0))
    keep_record("t0-1", record(2, "of-somebody", 102.0))
    keep_record("t0-1", record(3, "managed-1-0-2", 103.0))
    keep_record("t0-1", record(4, "managed-11-0-7", 104.0))
    lost()
    assert rebuilding.settle() == [1]
    found = table.ward("1", JOB)
    assert found is not None
    now = wards.job(found).current
    assert (now.attempt, now.jobs, now.key(1)) == (2, (1, 3), "managed-1-0-2")


def test_one_that_was_to_go_still_is_and_those_that_ended_are_history(started: list[bool], tmp_path: Path) -> None:
    first, job = entered(tmp_path / "work")
    ended = with_task(with_task(job, 0, status=ManagedStatus.SUCCEEDED), 1, status=ManagedStatus.FAILED, exit_code=3)
    wards.past(first, ended)
    assert not list(places.home().glob("stacks/*/managed/v*"))
    second, other = entered(tmp_path / "work")
    wards.cancel(other.id)
    wards.put(second, with_task(other, 0, status=ManagedStatus.RUNNING))  # by a care that has not heard of it yet
    before = table.wards(JOB, past=True)
    lost()
    assert rebuilding.settle() == [2]
    after = table.wards(JOB, past=True)
    assert [(each.name, each.wish, each.status) for each in after] == [
        (each.name, each.wish, each.status) for each in before
    ]
    assert [each.wish for each in after] == [Wish.PAST, Wish.GONE]
    assert wards.job(after[0]) == ended
    assert table.number(JOB) == 3
    with pytest.raises(BadInput, match="ended already"):
        wards.cancel(1)


def test_what_only_a_stack_tells_of_is_followed_to_its_end(started: list[bool], tmp_path: Path) -> None:
    _, job = entered(tmp_path / "work", 7)
    shape = Shape(nodes=(WantedNode("n0"), WantedNode("n1"), WantedNode("n2")), managed=kept.mark("t1-7"))
    assert shape.managed == "7-1"
    config.write_shape("t1-7", shape)
    base = backend.folder()
    assert base is not None
    (places.made(base / "stacks" / "skyrig") / "t1-7.json").write_text(json.dumps({"checkpoint": {"latest": {}}}))
    keep_record("t1-7", JobRecord(4, "u", "t1", JobStatus.RUNNING, 3, 103.0, key="managed-7-1-3", user="ada"))
    lost()
    kept.drop(kept.stacks(job))
    assert rebuilding.settle() == [7]
    found = table.ward("7", JOB)
    assert found is not None
    now = wards.job(found).current
    assert (found.stack, now.index, now.num_nodes, now.status) == ("t1-7", 1, 3, ManagedStatus.RUNNING)
    assert (now.attempt, now.jobs, now.key(7)) == (3, (4,), "managed-7-1-3")
    assert wards.spec(found).recovery == (RecoverySpec(), RecoverySpec())
    with pytest.raises(SkyrigError, match="cannot be read"):
        wards.task(found, 1)
    assert wards.put(found, with_task(wards.job(found), 1, attempt=3)) is not None
    assert table.number(JOB) == 8


def test_a_launch_that_cannot_be_packed_leaves_nothing(started: list[bool], tmp_path: Path) -> None:
    tasks = [task_of(tmp_path / "work", 0), evolve(task_of(tmp_path / "work", 1), workdir=str(tmp_path / "nowhere"))]
    with pytest.raises(BadInput), client.holding("1", JOB):
        wards.enter(job_of(1), tasks, SPEC)
    assert table.wards(past=True) == []
    assert kept.every(past=True) == []
    assert not folder.of_ward(JOB, "1").exists()


def test_where_nothing_is_managed_nothing_is_made(started: list[bool], home: Path) -> None:
    places.made(places.stack("dev"))
    assert rebuilding.settle() == []
    assert not folder.root().exists()
    assert started == []


def test_a_key_of_an_earlier_home_is_still_read(started: list[bool], tmp_path: Path) -> None:
    from skyrig.control import sealing

    sealed = sealing.seal(b"x", "m")
    places.made(folder.root())
    folder.key().rename(folder.old_key())
    assert sealing.opened(sealed, "m") == b"x"
    lost()
    assert sealing.opened(sealed, "m") == b"x"


def test_the_table_in_a_database_is_rebuilt_too(
    started: list[bool], shared: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    from skyrig.control.database import address

    entered(tmp_path / "work")
    with psycopg.connect(address.url()) as line:
        line.execute("DROP SCHEMA skyrig CASCADE")
    assert rebuilding.settle() == [1]
    assert [each.name for each in table.wards(JOB)] == ["1"]
