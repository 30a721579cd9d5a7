"""Runs the programs of the local cloud as subprocesses, so that this room does not import the ones that they are of."""

from typing import Any

from components.asked import answer
from skyrig.errors import SkyrigError

_LIMIT_S = 120.0

_STORAGE_LIMIT_S = 900.0
"""Where the server's program is not there yet it is got first."""


class LocalProgramError(SkyrigError):
    """A program of the local cloud ended with an error."""


def run(verb: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of `python -m skyrig.fleet.local VERB` to `request`; LocalProgramError, one line, where it fails."""
    return _run("skyrig.fleet.local", verb, request, _LIMIT_S)


def run_storage(verb: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of `python -m skyrig.storage.local VERB`, likewise."""
    return _run("skyrig.storage.local", verb, request, _STORAGE_LIMIT_S)


def _run(module: str, verb: str, request: dict[str, Any], limit_s: float) -> dict[str, Any]:
    return answer(module, verb, request, limit_s=limit_s, what="local", error=LocalProgramError)
