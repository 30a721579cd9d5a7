"""Runs the programs of the local cloud as subprocesses, so that this room does not import the ones that they are of."""

import json
import subprocess
import sys
from typing import Any

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
    done = subprocess.run(
        [sys.executable, "-I", "-m", module, verb],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        raise LocalProgramError(f"local {verb} ended with code {done.returncode}: {last}") from None
    if done.returncode:
        raise LocalProgramError(str(answer.get("error", answer)))
    return answer
