"""What a task asks of a Kubernetes cluster's own queue, out of its resources and its `config.kubernetes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from skyrig.errors import BadInput

DAY_S = 86400


@frozen
class Asked:
    """What a job asks for beside its number of nodes; of each node `cpus` in cores and `memory_gb` in GiB (0: what the
    namespace gives to who says nothing), `count` accelerators of the kind `accelerator`. `queue` is a local queue of
    Kueue, `priority` a priority class: of workloads where there is a queue, else of pods. `max_restarts` is how often
    all of its nodes begin anew after one failed. `claims` are persistent volume claims by their mount point, `pod` what
    the task's pod_config says, merged over the rest. `keep_s`: how long an ended job stays to be asked about.
    With `best` it wants the fabric of the nodes: once these were looked at, `fabric` is its name and `devices` what is
    asked for of it."""

    image: str = ""
    cpus: float = 0.0
    memory_gb: float = 0.0
    accelerator: str = ""
    count: int = 0
    queue: str = ""
    priority: str = ""
    max_restarts: int = 0
    best: bool = False
    fabric: str = ""
    devices: Mapping[str, str] = field(factory=dict)
    labels: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)
    claims: Mapping[str, str] = field(factory=dict)
    pod: Mapping[str, Any] = field(factory=dict)
    keep_s: int = 7 * DAY_S


def queue_of(said: Mapping[str, Any]) -> tuple[str, str]:
    """(local queue, priority class) out of a task's `config.kubernetes`; "" where it names none."""
    quota = said.get("quota") or {}
    queue = (said.get("kueue") or {}).get("local_queue_name") or quota.get("queue") or ""
    return str(queue), str(quota.get("priority_class") or "")


def claims_of(volumes: Mapping[str, Any]) -> dict[str, str]:
    """Names of persistent volume claims by mount point. BadInput for volumes that would have to be made first."""
    found = {}
    for place, said in volumes.items():
        if not isinstance(said, str):
            raise BadInput(
                f"volumes.{place}: a job of this queue takes volumes by name alone",
                hint="name a persistent volume claim that is there",
            )
        found[str(place)] = said
    return found
