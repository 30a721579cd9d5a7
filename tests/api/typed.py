"""What a type checker knows of a program that uses the API; checked by test_typing.py and never run."""

from typing import assert_type

import skyrig as sky
from skyrig import Task, jobs, sdk

task = Task("t", resources=sky.Resources(accelerators={"L4": 1}), run=["a", "b"]).set_resources({sky.Resources()})
assert_type(task, sky.Task)
request = sky.launch(task, cluster_name="c")
assert_type(request, sky.RequestId[tuple[int | None, sky.ResourceHandle]])
job_id, handle = sky.stream_and_get(request)
assert_type(job_id, int | None)
assert_type(handle.head_ip, str)
assert_type(sky.tail_logs("c", job_id, follow=True), int)
assert_type(sky.get(sky.status())[0].status, sky.ClusterStatus)
assert_type(sky.get(sky.job_status("c")), dict[int, sky.JobStatus | None])
assert_type(sdk.get(jobs.launch(task)), tuple[int | None, sky.ResourceHandle | None])
assert_type(sdk.get(jobs.queue())[0].status, jobs.ManagedJobStatus)
assert_type(jobs.tail_logs(job_id=1), int)
assert_type(jobs.download_logs(job_id=1), dict[int, str])
assert_type(sky.exceptions.ClusterNotUpError("no").exit_code, int)


async def later() -> None:
    assert_type(await sky.get_async(sky.queue("c")), list[sky.JobRecord])


sky.launch("t.yaml")  # type: ignore[arg-type]
sky.Resources(gpu="L4")  # type: ignore[call-arg]
sky.no_such_name  # type: ignore[attr-defined]  # noqa: B018
