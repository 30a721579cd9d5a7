"""What happened to a job while it ran, as Skyrig itself has said it in the job's log."""

from __future__ import annotations

import re

RECOVERED, LOST, JOINED, NOTICED = "recovered", "node lost", "node joined", "notice"

KNOWN = (RECOVERED, LOST, JOINED, NOTICED)
"""What a mark can say; nothing else of those lines is shown."""

_SAID = (
    (re.compile(rb"attempt \d+\b"), RECOVERED),
    (re.compile(rb"lost node \S+: .*the job goes on"), LOST),
    (re.compile(rb"node \S+ is there anew: rank \d+ joins"), JOINED),
    (re.compile(rb"(?:preemption|maintenance) of \S+"), NOTICED),
)


def of_line(text: bytes) -> str | None:
    """What a line of Skyrig's own marks; None for most of them."""
    return next((what for said, what in _SAID if said.match(text)), None)
