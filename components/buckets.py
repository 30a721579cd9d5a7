"""What every cloud's buckets have in common: `components/CLOUD/bucket.py` has a class CloudBuckets like `Buckets` here,
which is found by its cloud's name."""

from typing import Any, Protocol, TypedDict

import pulumi

from skyrig.cluster import clouds


class WantedBucketArgs(TypedDict):
    """One wanted bucket."""

    name: str
    """Its name, by the rules of its store."""
    store: str
    """A store of skyrig/cluster/data/stores."""
    region: str
    """Where it is made; "" on the local cloud."""
    persistent: bool
    """Whether it outlives its stack."""
    account: str
    """Account, project or subscription that pays. No other one is ever read, changed or destroyed."""


class PlaceArgs(TypedDict):
    """One account and region of a store. All of it shapes the graph, so it is plain."""

    stack: str
    """Name of the stack."""
    store: str
    """As of the buckets there."""
    account: str
    """As of the buckets there."""
    region: str
    """As of the buckets there."""
    tags: dict[str, str]
    """Tags on what is made, which a cloud may have to spell its own way."""


class Buckets(Protocol):
    """All buckets of one place, and what they share: a provider that touches no other account than the place's,
    whatever credentials are at hand."""

    keys: pulumi.Output[dict[str, str]] | None
    """Keys to them, a secret: access_key_id and secret_access_key. None where they are opened without any of ours."""

    def __init__(self, name: str, args: PlaceArgs, opts: pulumi.ResourceOptions) -> None: ...

    def bucket(self, wanted: WantedBucketArgs) -> dict[str, Any]:
        """Make one: what is there, `url` at least, `endpoint` and `folder` where it has such."""
        ...


def called(name: str, wanted: WantedBucketArgs) -> str:
    """How the engine calls a bucket of the component `name`."""
    return f"{name}-{wanted['store']}-{wanted['name']}"


def provider_called(name: str, args: PlaceArgs) -> str:
    """How the engine calls a place's provider in the component `name`."""
    return "-".join(part for part in (name, args["store"], args["account"], args["region"], "provider") if part)


def of_cloud(cloud: str, name: str, args: PlaceArgs, opts: pulumi.ResourceOptions) -> Buckets:
    """The buckets of a place on a cloud."""
    made: Buckets = getattr(clouds.module("components", cloud, "bucket"), f"{clouds.title(cloud)}Buckets")(
        name, args, opts
    )
    return made
