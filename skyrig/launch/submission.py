"""What a client hands to a cluster: a job, and what comes with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from skyrig.cluster.autostop import Autostop
from skyrig.cluster.policy import TimeToLive
from skyrig.launch.job import JobRequest


@frozen
class Submission:
    """A job, and what comes with it: the folder `workdir`, `mounts` by their normal targets on the nodes (None for an
    empty folder), when the cluster shall stop by itself from now on (None: nothing is said of that), and when its time
    to live is over, which its head may not know yet."""

    request: JobRequest
    workdir: Path | None = None
    mounts: Mapping[str, Path | None] = field(factory=dict)
    autostop: Autostop | None = None
    ttl: TimeToLive | None = None
