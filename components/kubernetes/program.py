"""Asks the API of a cluster in a process of its own, so that this room does not import what speaks HTTP."""

from typing import Any

from components.asked import answer
from skyrig.errors import SkyrigError

_SPARE_S = 120.0
"""What asking takes beside waiting: credentials out of another program, a slow API."""


class KubernetesError(SkyrigError):
    """The API of a cluster has said no, or pods did not come to run."""


def run(verb: str, request: dict[str, Any], wait_s: float = 0.0) -> dict[str, Any]:
    """The answer of `python -m skyrig.clouds.kubernetes VERB` to `request`, which may wait for `wait_s` seconds;
    KubernetesError, one line, where it fails."""
    limit_s = wait_s + _SPARE_S
    return answer("skyrig.clouds.kubernetes", verb, request, limit_s=limit_s, what="kubernetes", error=KubernetesError)
