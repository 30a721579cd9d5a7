"""Power and addresses of the machines of a cluster, as a dynamic resource.

Machines are made one by one and boot for minutes: all of them are waited for here, together. They are switched together
too, when `power` or `starts` changed and only then: one that stopped itself is no drift.
"""

from typing import Any, ClassVar, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

from skyrig.clouds.machines_api import making
from skyrig.clouds.machines_api.machine import Rental, connect

_OFF = ("stopped", "stopping", "gone")


class RentedPowerArgs(TypedDict):
    """Which machines are waited for and switched, and how."""

    account: str
    """Account of the machines."""
    ids: pulumi.Input[dict[str, str]]
    """The cloud's id of the machine behind each node id."""
    power: str
    """Wanted power: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts machines that stopped themselves."""


class RentedPowerProvider(ResourceProvider):
    """Waits for machines, looks at them and switches them. It holds no fields."""

    serialize_as_secret_always = False
    cloud: ClassVar[str] = ""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Other machines are waited for; another power, or another start, switches them. That one stopped itself is no
        reason to start it; that one runs which shall be stopped is one to stop it."""
        changed = _olds.get("account") != _news.get("account") or _olds.get("ids") != _news.get("ids")
        running = _news["power"] == "stopped" and any(said["state"] not in _OFF for said in _olds["nodes"].values())
        return DiffResult(changes=changed or running or _asked(_olds, _news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait until all are up, then stop those that shall not run yet."""
        return CreateResult("power", {**props, "nodes": self._wanted({"nodes": {}}, props)})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Switch the machines where that is asked for, and wait for those that are new."""
        return UpdateResult({**_news, "nodes": self._wanted(_olds, _news)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The machines as they are, with the addresses that they have now."""
        found = making.looked(connect(self.cloud, props["account"]), props["ids"])
        return ReadResult(id_, {**props, "nodes": {node: _said(seen) for node, seen in found.items()}})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Nothing of it exists outside the state."""

    def _wanted(self, olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
        """Have it as it is wanted, and say how it is then."""
        rents, ids = connect(self.cloud, news["account"]), dict(news["ids"])
        fresh = {node: id_ for node, id_ in ids.items() if olds.get("ids", {}).get(node) != id_}
        found = making.reached(rents, fresh) if fresh else {}
        if news["power"] == "stopped":
            found |= making.switched(rents, ids, up=False)
        elif olds["nodes"] and _asked(olds, news):
            found |= making.switched(rents, ids, up=True)
        found = {**making.looked(rents, {node: id_ for node, id_ in ids.items() if node not in found}), **found}
        return {node: _said(found[node]) for node in ids}


def _asked(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether another power than before is wanted, or another start."""
    return bool(olds["power"] != news["power"] or olds["starts"] != news["starts"])


def _said(seen: Rental) -> dict[str, Any]:
    """What the state says of a machine."""
    return {
        "machine": seen.id,
        "state": seen.state,
        "public": seen.public,
        "private": seen.private,
        "port": seen.port,
        "boot": seen.boot,
    }
