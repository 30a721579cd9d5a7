"""The contract of a cloud: what is asked of it beside the engine, and by what name it is had."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import frozen

from skyrig.errors import SkyrigError

_HOMES = {
    "aws": "skyrig.clouds.aws.cloud:Aws",
    "azure": "skyrig.clouds.azure.cloud:Azure",
    "gcp": "skyrig.clouds.gcp.cloud:Gcp",
}
"""Where each cloud's class lies."""


class NotUsable(SkyrigError):
    """A cloud cannot be used from here: no SDK, no credentials, no permission."""


@frozen
class SeenMachine:
    """A machine that a cloud has under a stack's tag: the `node_id` that it was made for, its own id, whether it is up
    or stopped, and its addresses ("": none)."""

    node_id: str
    machine: str
    power: str
    public: str = ""
    private: str = ""


@frozen
class Leftover:
    """Something that a cloud still has under a stack's tag. `hourly` is USD an hour that it costs as it is; None where
    that is not known."""

    kind: str
    id: str
    hourly: float | None = 0.0

    def __str__(self) -> str:
        """In words, with its price."""
        price = "" if self.hourly == 0 else " (price not known)" if self.hourly is None else f" (${self.hourly:.4f}/h)"
        return f"{self.kind} {self.id}{price}"


@frozen
class Wanted:
    """What is to be rented: so many nodes of a type, perhaps as spot."""

    instance_type: str
    nodes: int = 1
    spot: bool = False


@frozen
class Finding:
    """One thing that was looked at before anything is made: whether it is well (None: that cannot be known here), and
    what was seen or what to do."""

    what: str
    ok: bool | None
    said: str = ""


class Cloud(Protocol):
    """One cloud. Every call may raise NotUsable, with what to do about it."""

    def missing(self) -> str:
        """What is missing here for using it, in a clause with its mending; "" where nothing is. Looks at files and
        variables only."""

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """Credentials, rights, quota: all that would stop a cluster, found without making anything. Never raises
        NotUsable: that is a finding."""

    def account(self, region: str) -> str:
        """The account, project or subscription that the credentials here belong to, or that is named beside them; ""
        where they may use several and none is named."""

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """Zones of a region that have a type, the one to take first; "" among them is the region without a zone."""

    def machines(self, stack: str, region: str) -> Sequence[SeenMachine]:
        """The machines under a stack's tag that are there, up or stopped."""

    def leftovers(self, stack: str, region: str) -> Sequence[Leftover]:
        """All that is there under a stack's tag, but for what is meant to stay (buckets)."""

    def remove(self, stack: str, region: str, left: Sequence[Leftover]) -> None:
        """Remove what is left, as far as that goes; what stays is found by `leftovers` again."""

    def find(self, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
        """The engine's id of the thing of type token `kind` that was to be made from `inputs`; None: not there."""


def of(name: str, owner: str = "") -> Cloud:
    """The cloud called `name`; NotUsable where there is nothing to ask it by. `owner` is the account that is asked
    about, for instance a stack's: credentials may reach several. "" is the one that is named beside them."""
    if name not in _HOMES:
        raise NotUsable(f"cloud {name} cannot be asked yet")
    module, _, kind = _HOMES[name].partition(":")
    cloud: Cloud = getattr(importlib.import_module(module), kind)(owner)
    return cloud


def known() -> tuple[str, ...]:
    """Names of the clouds that can be asked."""
    return tuple(_HOMES)
