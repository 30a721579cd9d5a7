"""Where users of SkyPilot look for a job's logs: links below ~/sky_logs to the logs that we keep.

`~/sky_logs/ID-NAME/run.log` on the head is the whole job's log, its lines as `RANK|text`; below `tasks/` each node has
the plain output of what it ran itself. Links alone: nothing is written twice, and pruning removes them with the logs.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from skyrig.cluster.description import Node
from skyrig.launch.job import JobRecord

FOLDER = "~/sky_logs"


def of_job(record: JobRecord) -> str:
    """A job's folder, on whichever node."""
    return f"{FOLDER}/{record.id}-{re.sub(r'[^A-Za-z0-9._-]', '-', record.name)}"


def of_setup(record: JobRecord) -> str:
    """The link to the setup's output, on every node that ran it."""
    return f"{of_job(record)}/tasks/setup.log"


def of_rank(record: JobRecord, rank: int, node: Node, cluster_size: int) -> str:
    """The link to a rank's output, on its node: `tasks/run.log` on a cluster of one node, else by rank and node."""
    where = "head" if node.rank == 0 else f"worker{node.rank}"
    name = "run" if cluster_size == 1 else f"{rank}-{where}"
    return f"{of_job(record)}/tasks/{name}.log"


def link_whole(record: JobRecord, log: Path) -> None:
    """Link the whole job's log `log` here on the head, if this is possible: no job fails for the want of it."""
    link = Path(of_job(record)).expanduser() / "run.log"
    with suppress(OSError):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(log)
