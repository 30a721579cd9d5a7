"""The buckets of a stack, on whichever stores they are, described in one output."""

from typing import Any, TypedDict

import pulumi

from components import buckets as made_by
from components.buckets import Buckets, PlaceArgs, WantedBucketArgs
from components.refuse import refuse
from components.tags import STACK
from skyrig.cluster import stores
from skyrig.cluster.buckets import check_name
from skyrig.cluster.keys import one_of
from skyrig.errors import BadInput


class DataArgs(TypedDict):
    """What the buckets of a stack are made from. All of it shapes the graph, so it is plain."""

    stack: str
    """Name of the stack."""
    buckets: list[WantedBucketArgs]
    """Wanted buckets."""
    owner: str
    """Who made them; a tag on what is on a cloud."""


class Data(pulumi.ComponentResource):
    """Buckets, each by its name: adding or removing one leaves the others as they are."""

    buckets: pulumi.Output[list[dict[str, Any]]]
    """What is there: name, store, url, endpoint, region, account, persistent and folder of each."""

    keys: pulumi.Output[dict[str, str]] | None
    """Keys to those that are opened with keys of ours, the local ones, a secret: access_key_id and secret_access_key.
    None where there are no such ones."""

    def __init__(self, name: str, args: DataArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("Data", _wrong(args["buckets"]))
        super().__init__("skyrig:index:Data", name, {}, opts)
        self._name, self._args = name, args
        self._tags = {STACK: args["stack"], **({"skyrig-owner": args["owner"]} if args["owner"] else {})}
        self._places: dict[tuple[str, str, str], Buckets] = {}
        said = [self._made(each) for each in args["buckets"]]
        self.keys = next((place.keys for place in self._places.values() if place.keys is not None), None)
        in_order = [_described(each, known) for each, known in zip(args["buckets"], said, strict=True)]
        self.buckets = pulumi.Output.all(*in_order)
        self.register_outputs({"buckets": self.buckets})

    def _made(self, wanted: WantedBucketArgs) -> dict[str, Any]:
        """What is there of one bucket. All in one store, account and region share what that place needs."""
        place = (wanted["store"], wanted["account"], wanted["region"])
        if place not in self._places:
            args: PlaceArgs = {
                "stack": self._args["stack"],
                "store": wanted["store"],
                "account": wanted["account"],
                "region": wanted["region"],
                "tags": self._tags,
            }
            cloud = stores.all_known()[wanted["store"]].cloud
            self._places[place] = made_by.of_cloud(cloud, self._name, args, pulumi.ResourceOptions(parent=self))
        return self._places[place].bucket(wanted)


def _described(wanted: WantedBucketArgs, said: dict[str, Any]) -> pulumi.Output[dict[str, Any]]:
    """One entry of the output `buckets`."""
    entry = {"endpoint": "", "folder": "", **wanted, **said}
    return pulumi.Output.all(**entry).apply(lambda known: dict(sorted(known.items())))


def _wrong(buckets: list[WantedBucketArgs]) -> dict[str, str]:
    """What makes no sense, by property."""
    found = {}
    for number, each in enumerate(buckets):
        try:
            one_of("store", each["store"], tuple(stores.all_known()))
            check_name(each["store"], each["name"])
        except BadInput as error:
            found[f"buckets[{number}]"] = error.message
    return found
