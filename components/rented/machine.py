"""A machine of a cloud that is asked over HTTP, as a dynamic resource. Each cloud has a class of its own of both."""

from typing import Any, ClassVar, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider

from skyrig.clouds.machines_api import making
from skyrig.clouds.machines_api.machine import Order, Rents, connect

IDENTITY = ("account", "name", "instance_type", "region", "zone")
"""What makes a machine another one. What it is told at its first boot, its image, disk and tags do not."""


class RentedMachineArgs(TypedDict):
    """What a machine is made from."""

    account: str
    """Account that pays."""
    name: str
    """Its name, which no other machine of the account has: it is found again by it."""
    instance_type: str
    """Type, as the cloud calls it."""
    region: str
    """Region of the machine."""
    zone: str
    """Zone of the machine; "" where regions have none, or any will do."""
    image: str
    """Image; "" is the cloud's default."""
    disk_gb: int
    """Size of its disk in GiB, where the cloud leaves a choice."""
    key: pulumi.Input[str]
    """Name under which the cloud knows the client's key; "" where it does not."""
    told: pulumi.Input[str]
    """What it is told at its first boot; a secret, with its host key in it."""
    tags: pulumi.Input[dict[str, str]]
    """Tags, by which it is found when its state is lost."""


class RentedMachineProvider(ResourceProvider):
    """Makes, looks at and ends machines. It holds no fields: the state then refers to this class by name instead of
    holding its code."""

    serialize_as_secret_always = False
    cloud: ClassVar[str] = ""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another type, place or version is another machine, made after the old one is gone: they share a name."""
        replaces = [key for key in IDENTITY if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(replaces), replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the machine, or take over the one of its name that an earlier run has made. It boots when this returns;
        its addresses are told by the power of all machines."""
        made = making.ensured(self._rents(props), order(props))
        return CreateResult(made.id, {**props, "state": "starting"})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The machine as it is; nothing where it is gone, about to go, or has failed for good."""
        seen = self._rents(props).machine(id_)
        if seen is None or not seen.is_there or seen.state == "failed":
            return ReadResult(None, {})
        return ReadResult(id_, {**props, "state": seen.state})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """End the machine, and wait until it is gone; also where it is gone already."""
        making.ended(self._rents(_props), _id)

    def _rents(self, props: dict[str, Any]) -> Rents:
        return connect(self.cloud, props["account"])


def order(props: dict[str, Any]) -> Order:
    """What is asked of the cloud; numbers come from the engine as floats."""
    return Order(
        name=props["name"],
        kind=props["instance_type"],
        region=props["region"],
        zone=props["zone"],
        image=props["image"],
        disk_gb=int(props["disk_gb"]),
        key=props["key"],
        told=props["told"],
        tags=props["tags"],
    )
