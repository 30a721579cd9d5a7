"""Jobs as the foreign tests submit them, and what came of them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path

from attrs import define, field

from skyrig.cluster.description import ClusterDescription
from skyrig.launch import client
from skyrig.launch.job import JobRequest, Scripts
from skyrig.launch.submission import Submission

COUNTING = 'for i in $(seq {count}); do echo "line $i of $SKYRIG_NODE_RANK"; sleep {pause}; done\n'
"""A job whose log is known to the byte."""


@define
class Followed:
    """A job that was followed to its end: its exit code, its output, and what was said to the user."""

    code: int = -1
    out: io.BytesIO = field(factory=io.BytesIO)
    said: list[str] = field(factory=list)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().decode().splitlines()


def request(text: str, nodes: int, setup: str = "") -> JobRequest:
    """A job that runs `text` on `nodes` nodes."""
    scripts = Scripts({"run.sh": text})
    return JobRequest("job", nodes, scripts, setup=Scripts({"run.sh": setup}) if setup else None)


async def follow(
    desc: ClusterDescription, job: JobRequest, *, workdir: Path | None = None, seen: Followed | None = None
) -> Followed:
    """Submit a job and follow it to its end."""
    seen = seen or Followed()
    what = Submission(job, workdir)
    seen.code = await client.submit_and_follow(
        desc, what, lambda: None, detach=False, out=seen.out, notify=seen.said.append
    )
    return seen


async def until(condition: Callable[[], object], deadline_s: float = 30) -> None:
    """Wait for a condition while the loop goes on."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110  (what is waited for lies outside of this loop)
            await asyncio.sleep(0.02)


def counted(count: int, ranks: int) -> list[str]:
    """The sorted lines of COUNTING."""
    prefix = [f"(rank {rank}, n{rank}) " if ranks > 1 else "" for rank in range(ranks)]
    return sorted(f"{prefix[rank]}line {i} of {rank}" for rank in range(ranks) for i in range(1, count + 1))
