"""What a client hands to a cluster: a job, and what comes with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from skyrig.cluster.autostop import Autostop
from skyrig.cluster.policy import TimeToLive
from skyrig.launch.job import JobRequest


@frozen
class BatchOptions:
    """What a job asks of a scheduler beside its number of nodes. `cpus` in cores and `memory_gb` in GiB are of a node
    (0: what it gives to who says nothing), `accelerator` is the task's name for them, `more` are options of Slurm's
    sbatch by their long names (None: without a value), `said` what the one scheduler whose `tasks` made it wants beside
    that, by its names."""

    partition: str = ""
    cpus: int = 0
    memory_gb: float = 0.0
    accelerator: str = ""
    account: str = ""
    more: Mapping[str, str | None] = field(factory=dict)
    said: Mapping[str, Any] = field(factory=dict)


@frozen
class Submission:
    """A job, and what comes with it: the folder `workdir`, `mounts` by their normal targets on the nodes (None for an
    empty folder), when the cluster shall stop by itself from now on (None: nothing is said of that), and when its time
    to live is over, which its head may not know yet. `batch` is what it asks of a scheduler that the cluster has."""

    request: JobRequest
    workdir: Path | None = None
    mounts: Mapping[str, Path | None] = field(factory=dict)
    autostop: Autostop | None = None
    ttl: TimeToLive | None = None
    batch: BatchOptions = field(factory=BatchOptions)
