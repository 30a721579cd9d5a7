"""What a managed job's tasks find in their environment."""

from __future__ import annotations

from attrs import evolve

from skyrig.jobs.given import given, task_id
from skyrig.jobs.state import ManagedJob, TaskState

AT = 1767225600.25


def job(*names: str) -> ManagedJob:
    """A pipeline `p` of tasks of these names, number 7."""
    ids = [task_id(7, ("p", name), index, AT, {}) for index, name in enumerate(names)]
    tasks = tuple(TaskState(index, name, ids[index], f"{name}-7", 1, attempt=index) for index, name in enumerate(names))
    return ManagedJob(7, "p", tasks, AT)


def test_ids_are_of_the_form_that_programs_know() -> None:
    assert task_id(3, ("train",), 0, AT, {}) == "sky-managed-2026-01-01-00-00-00-250000_train_3-0"
    assert task_id(3, ("p", "eval"), 1, AT, {}) == "sky-managed-2026-01-01-00-00-00-250000_p_eval_3-1"


def test_the_users_own_id_wins() -> None:
    assert task_id(3, ("train",), 0, AT, {"SKYPILOT_TASK_ID": "mine"}) == "mine"


def test_each_variable_has_its_twin_and_the_attempt_alone_changes() -> None:
    first = given(job("a", "b"), 1)
    assert first["SKYPILOT_TASK_ID"] == first["SKYRIG_TASK_ID"] == "sky-managed-2026-01-01-00-00-00-250000_p_b_7-1"
    assert first["SKYPILOT_TASK_IDS"].split("\n")[1] == first["SKYPILOT_TASK_ID"]
    assert (first["SKYPILOT_MANAGED_JOB_ID"], first["SKYPILOT_JOB_RANK"]) == ("7", "0")
    assert {name.replace("SKYPILOT_", "SKYRIG_") for name in first} == {name for name in first if "SKYRIG" in name}
    later = job("a", "b")
    later = evolve(later, tasks=(later.tasks[0], evolve(later.tasks[1], attempt=4)))
    assert given(later, 1) == {**first, "SKYRIG_ATTEMPT": "4"}
