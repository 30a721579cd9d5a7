"""Asks a program of the project, in a process of its own: components do not import the rooms that these are of."""

import json
import subprocess
import sys
from typing import Any

from skyrig.errors import SkyrigError


def answer(
    module: str, verb: str, request: dict[str, Any], *, limit_s: float, what: str, error: type[SkyrigError]
) -> dict[str, Any]:
    """The answer of `python -m MODULE VERB` to `request`, within `limit_s` seconds; `error`, one line that begins with
    `what` it is, where it fails."""
    done = subprocess.run(
        [sys.executable, "-I", "-m", module, verb],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        raise error(f"{what} {verb} ended with code {done.returncode}: {last}") from None
    if done.returncode:
        raise error(str(found.get("error", found)))
    return found
