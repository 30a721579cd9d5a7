"""What the controller tells of managed jobs in Prometheus's text form."""

from __future__ import annotations

from attrs import evolve

from skyrig.control import metrics
from skyrig.control.ward import JOB, Ward, Wish
from skyrig.jobs.state import CONVERTER, ManagedJob, ManagedStatus, Recovery, TaskState
from skyrig.launch.job import Cause


def test_jobs_by_status_and_recoveries_by_cause_also_of_those_that_have_ended() -> None:
    task = TaskState(0, "t", "id", "t-1", 1, status=ManagedStatus.RUNNING)
    again = evolve(task, recoveries=(Recovery(1.0, Cause.NODE, "n1 is lost"), Recovery(2.0, Cause.PREEMPTION, "")))
    wards = [
        Ward(name, "t-1", JOB, wish=wish, status=status,
             data={"job": CONVERTER.unstructure(ManagedJob(int(name), "t", (each,), 0.0))})
        for name, wish, status, each in (
            ("1", Wish.UP, "RUNNING", again), ("2", Wish.PAST, "SUCCEEDED", again), ("3", Wish.UP, "RUNNING", task),
        )
    ]  # fmt: skip
    text = metrics.text(wards, {}, 0, 0.0, 0.0)
    assert 'skyrig_managed_jobs{status="RUNNING"} 2' in text
    assert 'skyrig_managed_jobs{status="SUCCEEDED"} 1' in text
    assert 'skyrig_managed_job_recoveries_total{cause="node"} 2' in text
    assert 'skyrig_managed_job_recoveries_total{cause="preemption"} 2' in text
    assert 'skyrig_control_wards{kind="job",status="RUNNING"} 2' in text
    assert 'skyrig_control_wards{kind="job",status="SUCCEEDED"}' not in text
