"""`config.skyrig.samples: off` reaches the job's request, and is no other thing than true or false."""

from __future__ import annotations

from pathlib import Path

import pytest

from skyrig.errors import SkyrigError
from skyrig.launch.job import CONVERTER, JobRequest, Scripts
from skyrig.submitting import RunOptions, task_request
from skyrig.task import reading
from skyrig.task.model import Task


def task(folder: Path, said: str) -> Task:
    """A task file that says that."""
    file = folder / "task.yaml"
    file.write_text(f"run: hostname\n{said}")
    return reading.load(file, env={}, secrets={}).only()


@pytest.mark.parametrize(
    ("said", "wanted"),
    [("", True), ("config: {skyrig: {samples: off}}", False), ("config: {skyrig: {samples: true}}", True)],
)
def test_the_request_says_whether_nodes_are_sampled(tmp_path: Path, said: str, wanted: bool) -> None:
    assert task_request(task(tmp_path, said), RunOptions(), setup=True).samples is wanted


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SkyrigError, match=r"config\.skyrig\.samples"):
        task(tmp_path, "config: {skyrig: {samples: 5s}}")


def test_a_request_of_an_older_client_is_sampled() -> None:
    plain = CONVERTER.unstructure(JobRequest("job", 1, Scripts({"run.sh": ""})))
    del plain["samples"]
    assert CONVERTER.structure(plain, JobRequest).samples
