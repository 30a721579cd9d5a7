"""Why a cloud refused to make a machine, told by its error codes, and what else it would refuse for the same reason.

`data/CLOUD/refusals.json`: lists of codes, each as it stands in the cloud's message, under `capacity` (there is none
now), `quota` (the account may not have more), `throttling`, and `permission` (the account may not use the cloud, or a
part of it, at all); `scopes`; `sources`. A scope is where a refusal holds (`zone`, `region`, `cloud`) and for what:
`type` and `family` (all that count against the same quota), `accelerators` (types that have any), `market` (all types,
paid for in the same way), `all`. The local cloud's codes are its own, and stand here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from skyrig.catalog import facts

KINDS = ("capacity", "quota", "throttling", "permission")
WHERE = ("zone", "region", "cloud")
WHAT = ("type", "family", "accelerators", "market", "all")

_SCOPES: Mapping[str, tuple[str, str]] = {
    "capacity": ("zone", "type"),
    "quota": ("region", "family"),
    "throttling": ("zone", "type"),
    "permission": ("region", "all"),
}
"""The scope of a code that has none of its own, by its kind."""


_LOCAL: Mapping[str, Any] = {
    "capacity": ["LocalZoneFull", "LocalRegionFull", "LocalCloudFull"],
    "scopes": {
        "LocalZoneFull": ["zone", "market"],
        "LocalRegionFull": ["region", "market"],
        "LocalCloudFull": ["cloud", "market"],
    },
}
"""What nodes of the local cloud say where a place has no room (skyrig.fleet.local.capacity)."""


@frozen
class Refusal:
    """A refusal: one of KINDS, the code that told it, and its scope, of WHERE and WHAT."""

    kind: str
    code: str
    where: str
    what: str

    def __str__(self) -> str:
        """In words, with the code."""
        return f"{_WORDS[self.kind]} ({self.code})"


_WORDS = {
    "capacity": "no capacity",
    "quota": "no quota",
    "throttling": "asked too much",
    "permission": "may not be used",
}


def find(cloud: str, *messages: str) -> Refusal | None:
    """What the first message that refuses something says; None where none does."""
    said = _LOCAL if cloud == "local" else facts.of(cloud, "refusals")
    for message in messages:
        for kind_ in KINDS:
            for code_ in said.get(kind_, ()):
                if code_ in message:
                    where, what = said.get("scopes", {}).get(code_) or _SCOPES[kind_]
                    return Refusal(kind_, code_, where, what)
    return None


def kind(cloud: str, message: str) -> str:
    """The kind of a refusal, one of KINDS; "" where the message is about something else."""
    found = find(cloud, message)
    return found.kind if found is not None else ""


def code(cloud: str, message: str) -> str:
    """The code itself; "" where there is none."""
    found = find(cloud, message)
    return found.code if found is not None else ""
