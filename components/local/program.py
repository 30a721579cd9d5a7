"""Runs the programs of skyrig.fleet.local as subprocesses, so that this room does not import that one."""

import json
import subprocess
import sys
from typing import Any

from skyrig.errors import SkyrigError

_LIMIT_S = 120.0


class LocalProgramError(SkyrigError):
    """A program of the local cloud ended with an error."""


def run(verb: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of `python -m skyrig.fleet.local VERB` to `request`; LocalProgramError, one line, where it fails."""
    done = subprocess.run(
        [sys.executable, "-I", "-m", "skyrig.fleet.local", verb],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
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
