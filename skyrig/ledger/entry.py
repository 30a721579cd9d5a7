"""One thing that happened to a stack, as far as money goes: what it has from then on, and what that costs an hour."""

from __future__ import annotations

from enum import Enum
from typing import Any

import cattrs
from attrs import frozen


class Kind(str, Enum):
    """What happened: a deployment that ended well, one that failed, one that was cut off (or went on when it was seen),
    or a cluster that went off by itself."""

    __str__ = str.__str__

    DEPLOYED = "deployed"
    FAILED = "failed"
    CUT = "cut"
    OFF = "off"


@frozen
class Entry:
    """What happened between `began` and `ended` (seconds since the epoch), and what there was to be afterwards.

    `id` is the same for the same thing whoever has seen it. `power` is up, stopped or down; `hourly` is USD an hour of
    what there is from then on, None where its price is not known, `priced` when that price was looked up. `what` is the
    cluster in words. Of a cluster that went off by itself only `power` says something, and the rest is as it was;
    `sure` is false where less may be there, or where only the latest moment is known at which it was off."""

    id: str
    kind: Kind
    began: float
    ended: float
    power: str
    cloud: str = ""
    region: str = ""
    instance_type: str = ""
    accelerators: str = ""
    spot: bool = False
    nodes: int = 0
    what: str = ""
    hourly: float | None = 0.0
    hourly_stopped: float | None = 0.0
    priced: float = 0.0
    sure: bool = True

    @property
    def rate(self) -> float | None:
        """USD an hour in the power that it has afterwards; None where that is not known."""
        return {"up": self.hourly, "stopped": self.hourly_stopped}.get(self.power, 0.0)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data: dict[str, Any] = _CONVERTER.unstructure(self)
        return data


def from_json(data: Any) -> Entry:
    """The entry in plain data; ValueError and its like where it is none."""
    return _CONVERTER.structure(data, Entry)


_CONVERTER = cattrs.Converter()
