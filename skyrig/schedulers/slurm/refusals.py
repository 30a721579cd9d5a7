"""What a cluster with Slurm does not give."""

from __future__ import annotations

from skyrig.errors import BadInput


def no_autostop(name: str) -> BadInput:
    """The error for an autostop of machines that are not ours."""
    return BadInput(
        f"{name} is a Slurm cluster: there is nothing to stop, its nodes are free again when a job ends",
        hint="leave the autostop away",
    )
