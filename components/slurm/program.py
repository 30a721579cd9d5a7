"""Asks login nodes in a process of its own, so that this room does not import what speaks SSH."""

import json
import subprocess
import sys
from typing import Any

from skyrig.errors import SkyrigError

_LIMIT_S = 180.0


class SlurmSiteError(SkyrigError):
    """A login node, or the user's config of it, has said no."""


def run(verb: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of `python -m skyrig.schedulers.slurm VERB` to `request`; SlurmSiteError, one line, where it fails."""
    done = subprocess.run(
        [sys.executable, "-I", "-m", "skyrig.schedulers.slurm", verb],
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
        raise SlurmSiteError(f"slurm {verb} ended with code {done.returncode}: {last}") from None
    if done.returncode:
        raise SlurmSiteError(str(answer.get("error", answer)))
    return answer
