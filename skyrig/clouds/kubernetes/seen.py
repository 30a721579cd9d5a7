"""Pods and Jobs as the API describes them: pure functions from what was answered to what it means for a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from skyrig.clouds.kubernetes.names import CLUSTER, NODE, selector

Object = Mapping[str, Any]

JOB, INDEX = "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index"
"""Labels that the controller of Jobs gives to their pods."""

_ENDED = ("Succeeded", "Failed")


@frozen
class SeenPod:
    """The pod of a node: `phase` as the API has it, or Gone where there is none, or Leaving; `why` is what it says of
    itself or what the scheduler says of it, `code` what kind of trouble that is ("": none)."""

    uid: str = ""
    name: str = ""
    ip: str = ""
    machine: str = ""
    phase: str = "Gone"
    ready: bool = False
    why: str = ""
    code: str = ""

    @property
    def runs(self) -> bool:
        """Whether it can be worked on."""
        return self.phase == "Running" and self.ready and bool(self.ip)


def has_ended(job: Object | None) -> bool:
    """Whether a Job will run nothing any more; one that is not there has."""
    return job is None or any(
        each["type"] in ("Complete", "Failed", "FailureTarget", "SuccessCriteriaMet") and each["status"] == "True"
        for each in job.get("status", {}).get("conditions", ())
    )


def by_index(pods: Iterable[Object]) -> dict[int, Object]:
    """The pods of one Job by completion index; of several of an index the one that lives, else the newest."""
    found: dict[int, Object] = {}
    for pod in sorted(pods, key=lambda each: (not _ended(each), each["metadata"].get("creationTimestamp") or "")):
        found[int(pod["metadata"].get("labels", {}).get(INDEX, 0))] = pod
    return found


def seen(pod: Object | None) -> SeenPod:
    """What one pod is."""
    if pod is None:
        return SeenPod()
    meta, status = pod["metadata"], pod.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    code, why = _trouble(pod, conditions)
    leaves = bool(meta.get("deletionTimestamp"))
    return SeenPod(
        uid=meta["uid"],
        name=meta["name"],
        ip=status.get("podIP") or "",
        machine=pod.get("spec", {}).get("nodeName") or "",
        phase="Leaving" if leaves and not _ended(pod) else status.get("phase", "Pending"),
        ready=conditions.get("Ready", {}).get("status") == "True",
        why=why,
        code=code,
    )


def way(cluster: str, job: str, index: int, node: str, alone: bool) -> str:
    """Labels that the pod of a node has and no other one: of a gang those of its Job, else those that stay."""
    if alone:
        return selector({CLUSTER: cluster, NODE: node})
    return selector({JOB: job, INDEX: str(index)})


def _ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in _ENDED


def _trouble(pod: Object, conditions: Mapping[str, Object]) -> tuple[str, str]:
    """The code and the words of what keeps a pod from running; "" and its last words where it has ended."""
    status = pod.get("status", {})
    statuses: Sequence[Object] = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    for each in statuses:
        ended = each.get("state", {}).get("terminated")
        if ended and _ended(pod):
            return (
                "",
                f"{ended.get('message') or ended.get('reason') or 'ended'} (code {ended.get('exitCode')})".strip(),
            )
        waiting = each.get("state", {}).get("waiting", {})
        if waiting.get("reason") in _HOPELESS:
            return "Broken", f"{waiting['reason']}: {waiting.get('message', '')}".strip(": ")
    placed = conditions.get("PodScheduled", {})
    if placed.get("status") == "False" and placed.get("reason") == "Unschedulable":
        return "SkyrigNoNodeFits", str(placed.get("message", ""))
    if status.get("reason"):
        return "", f"{status['reason']}: {status.get('message', '')}".strip(": ")
    return "", ""


_HOPELESS = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "ImagePullBackOff", "ErrImagePull")
"""Reasons of a container that waits for what does not come by itself."""
