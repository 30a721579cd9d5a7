"""Asks login nodes in a process of its own, so that this room does not import what speaks SSH."""

from typing import Any

from components.asked import answer
from skyrig.errors import SkyrigError

_LIMIT_S = 180.0


class SlurmSiteError(SkyrigError):
    """A login node, or the user's config of it, has said no."""


def run(verb: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of `python -m skyrig.schedulers.slurm VERB` to `request`; SlurmSiteError, one line, where it fails."""
    return answer("skyrig.schedulers.slurm", verb, request, limit_s=_LIMIT_S, what="slurm", error=SlurmSiteError)
