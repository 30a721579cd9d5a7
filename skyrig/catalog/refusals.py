"""Why a cloud refused to make a machine, told by its error codes.

`data/CLOUD/refusals.json`: lists of codes, each as it stands in the cloud's message, under `capacity` (there is none
now), `quota` (the account may not have more) and `throttling`; `sources`.
"""

from __future__ import annotations

from skyrig.catalog import facts

KINDS = ("capacity", "quota", "throttling")


def kind(cloud: str, message: str) -> str:
    """The kind of a refusal, one of KINDS; "" where the message is about something else."""
    said = facts.of(cloud, "refusals")
    for name in KINDS:
        if any(code in message for code in said.get(name, ())):
            return name
    return ""


def code(cloud: str, message: str) -> str:
    """The code itself; "" where there is none."""
    said = facts.of(cloud, "refusals")
    return next((code for name in KINDS for code in said.get(name, ()) if code in message), "")
