"""SkyPilot's quickstart script with another import, and after it the life of its cluster: real engine, real node."""

import asyncio
import io
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from user import until

import skyrig as sky

pytestmark = pytest.mark.e2e

SCRIPT = Path(__file__).parent / "mingpt" / "train.py"
NAME = "mingpt"


@pytest.fixture(scope="module")
def trained(place: Any) -> subprocess.CompletedProcess[str]:
    """The script, run to its end."""
    done: subprocess.CompletedProcess[str] = place.run(SCRIPT, folder=SCRIPT.parent)
    return done


def test_the_quickstart_runs(trained: subprocess.CompletedProcess[str]) -> None:
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "cluster mingpt: 1 node (L4:4) on the local cloud" in trained.stdout
    assert {f"process {rank} of 4, device {rank}, INFO" for rank in range(4)} <= set(trained.stdout.splitlines())
    assert "job 1 SUCCEEDED" in trained.stderr


@pytest.mark.usefixtures("trained")
def test_jobs_of_a_cluster(tmp_path: Path) -> None:
    (job,) = sky.get(sky.queue(NAME))
    assert (job.job_id, job["status"], job.exit_code) == (1, sky.JobStatus.SUCCEEDED, 0)
    assert dict(job)["job_name"] == "minGPT-ddp"

    failing, handle = sky.get(sky.exec(sky.Task("f", run=["echo wanted", "exit 7"]), NAME))
    out = io.StringIO()
    assert sky.tail_logs(NAME, failing, follow=True, output_stream=out) == 7
    assert out.getvalue() == "wanted\n"
    assert (handle.cluster_name, handle.launched_nodes, handle["cloud"]) == (NAME, 1, "local")

    async def asked() -> tuple[int, dict[int, sky.JobStatus | None], int]:
        long, _ = await sky.get_async(sky.exec(sky.Task("long", run="sleep 600"), NAME))
        assert long is not None
        statuses = await sky.get_async(sky.job_status(NAME, [failing or 0, 99]))
        return long, statuses, sky.tail_logs(NAME, failing)  # also where a loop is at work, as in a notebook

    long, statuses, code = asyncio.run(asked())
    assert statuses == {failing: sky.JobStatus.FAILED, 99: None} and code == 7
    sky.get(sky.cancel(NAME))
    assert sky.get(sky.job_status(NAME)) == {long: sky.JobStatus.CANCELLED}
    saved = sky.download_logs(NAME, [failing or 0], tmp_path)
    assert (Path(saved[str(failing)]) / "rank-0.log").read_text() == "wanted\n"


@pytest.mark.usefixtures("trained")
def test_errors_come_back_as_what_they_are() -> None:
    for request in (sky.down("nobody"), sky.queue("nobody")):
        with pytest.raises(sky.exceptions.ClusterDoesNotExist, match="no cluster is called nobody"):
            sky.stream_and_get(request, output_stream=io.StringIO())
    with pytest.raises(sky.exceptions.ResourcesMismatchError, match="the task asks for H100:8") as refused:
        sky.get(sky.exec(sky.Task(run="true", resources={"infra": "local", "accelerators": "H100:8"}), NAME))
    assert refused.value.exit_code == 2 and refused.value.hint


@pytest.mark.usefixtures("trained")
def test_a_request_outlives_its_program_and_can_be_cancelled(place: Any) -> None:
    text = "import skyrig as sky; r = sky.launch(sky.Task('x', secrets={'K': 'hidden'}), 'left'); print(r, flush=True)"
    left = place.start(text + "; sky.stream_and_get(r)")
    request = left.stdout.readline().strip()
    kept = _folder(request)
    until(lambda: (kept / "lines").read_text(), "the request tells its progress")
    os.killpg(left.pid, signal.SIGINT)  # as Ctrl-C does
    assert left.communicate()[1].endswith(
        f"KeyboardInterrupt\nskyrig: request {request} (launch left) goes on in the background; "
        "sky.api_status() shows it\n"
    )
    (record,) = sky.api_status([request[:13]])
    assert (record.name, record.cluster_name, record.request_id) == ("launch", "left", request)
    assert sky.get(sky.api_cancel(request)) in ([request], [])  # [] where it was quicker
    ended = sky.api_status(request)[0].status
    assert ended in (sky.RequestStatus.CANCELLED, sky.RequestStatus.SUCCEEDED)
    if ended is sky.RequestStatus.CANCELLED:
        with pytest.raises(sky.exceptions.RequestCancelled):
            sky.get(request)
    assert request not in {each.request_id for each in sky.api_status()}
    assert not any(b"hidden" in file.read_bytes() for file in kept.iterdir())
    assert kept.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("trained")
def test_a_worker_that_is_killed_is_no_mystery() -> None:
    request = sky.queue(NAME)
    os.kill(json.loads((_folder(request) / "request.json").read_bytes())["pid"], signal.SIGKILL)  # before it can answer
    with pytest.raises(sky.SkyrigError, match=f"request {request} \\(queue\\) was killed"):
        sky.get(request)
    assert sky.api_status(request)[0].status is sky.RequestStatus.FAILED


def _folder(request: str) -> Path:
    return Path(os.environ["SKYRIG_HOME"], "requests", request)


@pytest.mark.soak
@pytest.mark.usefixtures("trained")
def test_power() -> None:
    sky.get(sky.autostop(NAME, 600, wait_for="jobs"))
    sky.get(sky.autostop(NAME, -1))
    sky.get(sky.stop(NAME))
    (record,) = sky.get(sky.status("min*"))
    assert (record["status"], record.name) == (sky.ClusterStatus.STOPPED, NAME)
    with pytest.raises(sky.exceptions.ClusterNotUpError, match="cluster mingpt is stopped"):
        sky.get(sky.exec(sky.Task(run="true"), NAME))
    assert sky.get(sky.start(NAME)).cluster_name == NAME
    assert [each.status for each in sky.get(sky.status([NAME, "nobody"]))] == [sky.ClusterStatus.UP]
    sky.get(sky.down(NAME))
    assert sky.get(sky.status([NAME])) == []
    assert sky.get(sky.queue(NAME))[0].job_name == "long"
