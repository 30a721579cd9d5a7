"""Jobs that a Kubernetes cluster queues itself, on a real API server, scheduler and controllers: no keeper, no sshd."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from kubernetes_lab import Lab
from lab_images import TORCH
from user import User, until

from components.kubernetes.jobs import describe
from skyrig.cluster.description import ClusterDescription, from_json
from skyrig.errors import BadInput
from skyrig.launch.job import JobRecord, JobRequest, JobStatus, Scripts
from skyrig.launch.submission import BatchOptions, Submission
from skyrig.schedulers.kubernetes import look, submitting
from skyrig.schedulers.kubernetes.api import Where
from skyrig.schedulers.kubernetes.asked import Asked
from skyrig.schedulers.kubernetes.client import CLIENT

NOTHING = Asked()
JOBSET = "jobset.x-k8s.io/v1alpha2"
SECRET = "s3cret-of-the-queue-tests"

COLLECTED_S = 90.0
"""The collector of what is owned looks for new kinds every 30 s: only then does it know what goes with a JobSet."""


class Queue:
    """A queue in a namespace of its own, and somebody who submits there."""

    def __init__(self, lab: Lab, desc: ClusterDescription) -> None:
        self.lab, self.desc, self.space = lab, desc, desc.zone
        self.told: list[str] = []

    def what(self, run: str, nodes: int = 1, *, setup: str = "", asked: Asked = NOTHING, **more: Any) -> Submission:
        """A submission of a shell text."""
        before = Scripts({"setup.sh": setup}, "setup.sh") if setup else None
        request = JobRequest("try", nodes, Scripts({"run.sh": run}), setup=before, user="me", **more)
        return Submission(request, batch=BatchOptions(said=attrs.asdict(asked, recurse=False)))

    def submit(self, what: Submission) -> JobRecord:
        """Submit it."""
        return asyncio.run(CLIENT.submit(self.desc, what, lambda: None, self.told.append))

    def run(self, what: Submission) -> tuple[int, str]:
        """Submit and follow it: its exit code, its output."""
        out = io.BytesIO()
        code = asyncio.run(
            CLIENT.submit_and_follow(self.desc, what, lambda: None, detach=False, out=out, notify=self.told.append)
        )
        return code, out.getvalue().decode()

    def logs(self, number: int | None = None, **more: Any) -> tuple[int, str]:
        """What `logs` says."""
        out = io.BytesIO()
        given = {"rank": None, "follow": False, "tail": None, **more}
        code = asyncio.run(CLIENT.logs(self.desc, number, out=out, notify=self.told.append, **given))
        return code, out.getvalue().decode()

    def jobs(self) -> dict[int, JobRecord]:
        """What `queue` says."""
        return {record.id: record for record in asyncio.run(CLIENT.queue(self.desc))}

    def until(self, number: int, status: JobStatus) -> JobRecord:
        """A job's record when it has this status."""
        self.lab.client.wait(lambda: self.jobs()[number].status is status, what=f"job {number} {status}")
        return self.jobs()[number]

    def left(self) -> list[str]:
        """What is in the namespace, but for what Kubernetes itself puts there."""
        kinds = [("v1", "ConfigMap"), ("v1", "Secret"), ("v1", "Service"), ("v1", "Pod"), ("batch/v1", "Job"),
                 (JOBSET, "JobSet")]  # fmt: skip
        return [f"{kind} {each['metadata']['name']}" for version, kind in kinds
                for each in self.lab.client.all(version, kind, self.space)
                if each["metadata"]["name"] != "kube-root-ca.crt"]  # fmt: skip


@pytest.fixture(scope="module")
def jobsets(lab: Lab) -> str:
    """A namespace in which JobSets are seen to."""
    lab.install("jobset")
    return lab.namespace("queue")


@pytest.fixture
def queue(lab: Lab, jobsets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """A queue there, from which all is gone at the end."""
    monkeypatch.setenv("KUBECONFIG", str(lab.kubeconfig))
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    found = asyncio.run(look.described(Where("lab", jobsets), "q", "me@here"))
    assert found["has_jobset"] and {each["name"] for each in found["partitions"]} >= {"nodes", "NVIDIA-H100-80GB-HBM3"}
    made = Queue(lab, from_json(describe("q", "n0", found)))
    yield made
    asyncio.run(look.removed(Where("lab", jobsets), "q"))
    lab.client.wait(lambda: not made.left(), COLLECTED_S, f"nothing left, but there is {made.left()}")


def test_a_job_with_setup_variables_and_secrets(queue: Queue) -> None:
    """All of the environment is there, byte for byte; the secret is in its Secret and nowhere else."""
    odd = 'it\'s "$HOME" `x` $(y) \\n\nsecond line ü'
    run = 'printf "%s" "$ODD" | base64 -w0; echo; echo "${#TOKEN} $SKYPILOT_TASK_ID $SKYPILOT_INTERNAL_JOB_ID"; pwd\n'
    what = queue.what(run, setup="echo in setup; echo made > ~/made\n", env={"ODD": odd}, secrets={"TOKEN": SECRET})
    code, said = queue.run(what)
    lines = said.splitlines()
    assert code == 0, queue.told
    assert base64.b64decode(lines[3]).decode() == odd
    assert re.fullmatch(rf"{len(SECRET)} sky-[0-9-]+_q_1 1", lines[4]) and lines[5].endswith("/sky_workdir")
    assert re.fullmatch(r"\(setup, [a-z0-9-]+\) in setup", lines[1])
    for kind in ("ConfigMap", "Pod"):
        assert SECRET not in json.dumps(queue.lab.client.all("v1", kind, queue.space))
    jobset = queue.lab.client.get(JOBSET, "JobSet", "q-1", queue.space)
    assert jobset is not None and SECRET not in json.dumps(jobset)
    secret = queue.lab.client.get("v1", "Secret", "q-1", queue.space)
    assert secret is not None and secret["metadata"]["ownerReferences"][0]["uid"] == jobset["metadata"]["uid"]


def test_two_nodes_find_each_other_and_the_first_failure_counts(queue: Queue) -> None:
    """Rank 0 serves at MASTER_ADDR, rank 1 reaches it by that name, and fails first; rank 0 is ended, told by TERM."""
    run = """
if [ "$SKYPILOT_NODE_RANK" = 0 ]; then
  trap 'echo told; test -s "$SKYRIG_NOTICE_FILE" && echo notice; exit 3' TERM
  exec 3< <(exec python3 -c 'import socket
s = socket.create_server(("", 29500)); print("listens", flush=True); c, _ = s.accept(); print(c.recv(9), flush=True)')
  while :; do read -r -t 1 line <&3 && echo "$line"; sleep 0.1; done
fi
until python3 -c 'import os, socket
socket.create_connection((os.environ["MASTER_ADDR"], 29500), 2).send(b"hello")' 2>/dev/null; do sleep 0.2; done
echo "$SKYPILOT_NUM_NODES $(echo "$SKYPILOT_NODE_IPS" | wc -l)"; sleep 1.5
exit 7
"""
    code, said = queue.run(queue.what(run, 2))
    record = queue.jobs()[1]
    assert code == 7 == record.exit_code and record.culprit == 1, (queue.told, said)
    assert re.search(r"^\(rank 0, .*\) b'hello'$", said, re.M) and re.search(r"^\(rank 1, .*\) 2 2$", said, re.M), said
    assert record.reason.startswith("rank 1 on ") and record.status is JobStatus.FAILED


def test_setup_that_fails(queue: Queue) -> None:
    """It has a status of its own."""
    code, _ = queue.run(queue.what("echo never\n", setup="exit 9\n"))
    assert (code, queue.jobs()[1].status) == (9, JobStatus.FAILED_SETUP)


def test_it_begins_anew_as_often_as_asked(queue: Queue) -> None:
    """All nodes do, under the same task id, and lines of both attempts are kept."""
    run = 'echo "attempt $SKYPILOT_TASK_ID"; exit 5\n'
    code, said = queue.run(queue.what(run, asked=Asked(max_restarts=1)))
    assert code == 5 and queue.jobs()[1].restarts == 1, queue.told
    assert set(said.splitlines()) and len(set(said.splitlines())) == 1, said


def test_a_queue_lets_it_begin(queue: Queue) -> None:
    """A job for a local queue of Kueue is made suspended, with its label, and has no pod until it is admitted."""
    record = queue.submit(queue.what("echo went\n", 2, asked=Asked(queue="team", priority="high")))
    jobset = queue.lab.client.get(JOBSET, "JobSet", "q-1", queue.space)
    assert jobset is not None and jobset["spec"]["suspend"] is True
    assert jobset["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert queue.jobs()[1].reason == "waits for the queue team" and not queue.lab.pods(queue.space)
    queue.lab.client.patch(jobset, {"spec": {"suspend": False}})  # as Kueue does where there is room for all pods
    queue.until(record.id, JobStatus.SUCCEEDED)
    assert sorted(queue.logs(1)[1].splitlines()) == [f"(rank {rank}, {queue.jobs()[1].nodes[rank]}) went"
                                                     for rank in range(2)]  # fmt: skip


def test_cancel_and_numbers_that_never_come_again(queue: Queue) -> None:
    """A cancelled job is gone from the cluster with all that was its own; its record and its lines stay."""
    first = queue.submit(queue.what("echo began; sleep 100\n", secrets={"TOKEN": SECRET}))
    queue.until(first.id, JobStatus.RUNNING)
    queue.lab.client.wait(lambda: "began" in queue.logs(1)[1], what="its first line")
    assert asyncio.run(CLIENT.cancel(queue.desc, [1])) == [1]
    queue.lab.client.wait(lambda: queue.left() == ["ConfigMap skyrig-q"], what="gone")
    assert (queue.jobs()[1].status, queue.logs(1)) == (JobStatus.CANCELLED, (143, "began\n"))
    assert queue.submit(queue.what("true\n")).id == 2
    with pytest.raises(BadInput, match="there is no job 9"):
        asyncio.run(CLIENT.cancel(queue.desc, [9]))


def test_of_two_with_one_key_the_first_counts(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that is killed after the JobSet, before what belongs to it, comes again: one JobSet, which runs."""
    what = queue.what("echo once\n", key="mine", secrets={"TOKEN": SECRET})

    class Killed(BaseException):
        pass

    async def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(submitting, "_complete", killed)
        with pytest.raises(Killed):
            queue.submit(what)
    assert "cut off" in queue.jobs()[1].reason
    assert queue.submit(what).id == 1
    queue.until(1, JobStatus.SUCCEEDED)
    assert queue.submit(what).id == 1 and list(queue.jobs()) == [1]
    together: list[int] = []
    twice = queue.what("true\n", key="other")
    threads = [threading.Thread(target=lambda: together.append(queue.submit(twice).id)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [2, 2] and len(queue.lab.client.all(JOBSET, "JobSet", queue.space)) == 2


def test_accelerators_find_their_nodes(queue: Queue) -> None:
    """Both go to a node that has them, and count as many."""
    asked = Asked(accelerator="H100", count=8, best=True)
    code, said = queue.run(queue.what("echo $SKYPILOT_NUM_GPUS_PER_NODE\n", 2, asked=asked, accelerators=8))
    assert code == 0 and set(queue.jobs()[1].nodes) == {"h100-1", "h100-2"}, (queue.told, said)
    assert all(line.endswith(") 8") for line in said.splitlines())
    pod = queue.lab.pods(queue.space)[0]["spec"]["containers"][0]
    assert {"nvidia.com/gpu", "rdma/ib"} <= set(pod["resources"]["limits"]), "the fabric of these nodes"


def test_without_jobset(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """An indexed Job and a headless Service do the same, which is said; what they cannot is refused."""

    async def none(_: object) -> bool:
        return False

    monkeypatch.setattr(submitting, "has_jobsets", none)
    code, said = queue.run(queue.what('getent hosts "$MASTER_ADDR" >/dev/null && echo found\nexit 4\n', 2))
    assert code == 4 and "found" in said and any("an indexed Job" in line for line in queue.told)
    with pytest.raises(BadInput, match="no JobSet"):
        queue.submit(queue.what("true\n", asked=Asked(max_restarts=1)))


def test_a_user_with_few_rights(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/kubernetes-jobs.md names is enough."""
    text = (Path(__file__).parents[3] / "docs" / "kubernetes-jobs.md").read_text()
    rules = yaml.safe_load(re.search(r"```yaml\nrules:\n(.*?)```", text, re.S).expand(r"rules:\n\1"))["rules"]  # type: ignore[union-attr]
    with monkeypatch.context() as patch:
        patch.setenv("KUBECONFIG", str(queue.lab.user("bob", queue.space, rules)))
        found = asyncio.run(look.described(Where("bob", queue.space), "bobs", "me@here"))
        theirs = Queue(queue.lab, from_json(describe("bobs", "n0", found)))
        code, said = theirs.run(theirs.what("printf $TOKEN | wc -c\n", secrets={"TOKEN": SECRET}))
        assert (code, said.strip()) == (0, str(len(SECRET))), theirs.told
        asyncio.run(look.removed(Where("bob", queue.space), "bobs"))


@pytest.mark.soak
def test_torchrun_over_two_nodes(queue: Queue) -> None:
    """Training processes meet at the first node's name and add up what each has."""
    run = """cat >ring.py <<'END'
import torch, torch.distributed as dist
dist.init_process_group("gloo")
sum = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(sum)
print("rank", dist.get_rank(), "of", dist.get_world_size(), "sum", sum.item(), flush=True)
dist.destroy_process_group()
END
python3 -m torch.distributed.run --nnodes "$SKYPILOT_NUM_NODES" --node-rank "$SKYPILOT_NODE_RANK" --nproc-per-node 2 \\
  --master-addr "$(echo "$SKYPILOT_NODE_IPS" | head -n1)" --master-port 29512 ring.py
"""
    code, said = queue.run(queue.what(run, 2, asked=Asked(image=TORCH)))
    told = sorted(line.partition(") ")[2] for line in said.splitlines() if " sum " in line)
    assert code == 0 and told == [f"rank {rank} of 4 sum 10.0" for rank in range(4)], (queue.told, said)


@pytest.mark.soak
def test_a_whole_life(lab: Lab, jobsets: str, tmp_path: Path) -> None:
    """The verbs: launch makes the stack, then exec, queue, logs, status, cancel, down; nothing is left."""
    person = User(tmp_path, "hpc")
    context = lab.kubeconfig.read_text().replace("namespace: default", f"namespace: {jobsets}")
    (tmp_path / "kubeconfig").write_text(context)
    person.env["KUBECONFIG"] = str(tmp_path / "kubeconfig")
    work = tmp_path / "work"
    work.mkdir()
    (work / "hello.txt").write_text("from the workdir\n")
    (tmp_path / "extra.txt").write_text("from a mount\n")
    task = {"name": "t", "workdir": str(work), "num_nodes": 2, "run": "cat hello.txt ~/extra.txt; echo $TOKEN | wc -c",
            "file_mounts": {"~/extra.txt": str(tmp_path / "extra.txt")},
            "resources": {"infra": "kubernetes/lab"}, "config": {"skyrig": {"scheduler": "kubernetes"}}}  # fmt: skip
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    person.env["TOKEN"] = SECRET
    first = person.run("launch", str(tmp_path / "task.yaml"), "-c", "hpc", "--secret", "TOKEN", timeout=200)
    for line in ("from the workdir", "from a mount", str(len(SECRET) + 1)):
        assert sum(each.endswith(f") {line}") for each in first.lines) == 2, first.told()
    shown = person.run("render", str(tmp_path / "task.yaml"), "-c", "hpc", "--secret", "TOKEN")
    assert "kind: JobSet" in shown.told() and SECRET not in shown.told()
    (tmp_path / "long.yaml").write_text(yaml.safe_dump({**task, "run": "sleep 100"}))
    person.run("exec", str(tmp_path / "long.yaml"), "-c", "hpc", "-d")
    until(lambda: person.jobs()[-1]["status"] == "RUNNING", "the second job runs", 90)
    person.run("cancel", "-c", "hpc", "-j", "2")
    assert [row["status"] for row in person.jobs()] == ["SUCCEEDED", "CANCELLED"]
    assert person.json("status")["clusters"][0]["status"] == "UP"
    refused = person.run("stop", "-c", "hpc", "--yes", check=2)
    assert "Kubernetes cluster's" in refused.told()
    person.run("down", "-c", "hpc", "--yes", timeout=120)
    assert [row["status"] for row in person.jobs()] == ["SUCCEEDED", "CANCELLED"]
    for file in (tmp_path / "home").rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
    left = Queue(lab, from_json({**describe("hpc", "n0", _found(jobsets))})).left()
    assert not left, left


def _found(space: str) -> dict[str, Any]:
    return {"host": "", "port": 1, "context": "lab", "namespace": space, "partitions": []}
