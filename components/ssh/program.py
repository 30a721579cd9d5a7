"""Asks machines in a process of its own, so that this room does not import what speaks SSH."""

from typing import Any

from components.asked import answer
from skyrig.errors import SkyrigError

_LIMIT_S = 300.0


class SshMachineError(SkyrigError):
    """A machine, or the inventory of them, has said no."""


def run(verb: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of `python -m skyrig.clouds.ssh VERB` to `request`; SshMachineError, one line, where it fails."""
    return answer("skyrig.clouds.ssh", verb, request, limit_s=_LIMIT_S, what="ssh", error=SshMachineError)
