"""What the keeper tells whoever watches over one job, without its output."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from skyrig.launch.job import JobRecord


@frozen
class Sight:
    """The job with the key that is watched, and its nodes, as the keeper sees them now.

    `record` is None where no job of that key was submitted to this keeper. `silent` are the ids of nodes of the job
    with which the keeper has lost its connection, by now for so many seconds: sooner than any lease runs out, and no
    proof of anything. `leaving` are those that were told that they go, with the moment (seconds since the epoch, 0.0:
    not told). `quiet_s` is for how long no rank has written or given a sign of life.
    """

    record: JobRecord | None = None
    silent: Mapping[str, float] = field(factory=dict)
    leaving: Mapping[str, float] = field(factory=dict)
    quiet_s: float = 0.0
