"""What every cloud's machine images have in common: `components/CLOUD/imaging.py` has a class CloudImaging like
`Imaging` here, which is found by its cloud's name."""

from typing import Protocol, TypedDict

import pulumi

from skyrig.cluster import clouds


class ImagingArgs(TypedDict):
    """What an image is made from. All of it shapes the graph, so it is plain."""

    name: str
    """Name of the image."""
    stack: str
    """Name of its stack."""
    mark: str
    """Another mark is another image: it is part of the names of what is made."""
    source: str
    """What it is made of, as the cloud calls it. Read when the image is made; what becomes of it later changes
    nothing."""
    digest: str
    """Digest of the recipe; a tag."""
    region: str
    """Where the source is."""
    regions: list[str]
    """Where copies shall be besides."""
    account: str
    """Account, project or subscription that pays. No other one is ever read, changed or destroyed."""
    size_gb: int
    """Size of its disk in GiB; 0 where that is not known."""
    facts: dict[str, str]
    """What is known of the source, in the cloud's own words."""
    tags: dict[str, str]
    """Tags on everything that is made, which a cloud may have to spell its own way."""


class Imaging(Protocol):
    """An image and its copies on one cloud."""

    ids: pulumi.Output[dict[str, str]]
    """Ids of the image by region; `skyrig.cluster.imagery.EVERYWHERE` where one holds in all."""

    def __init__(self, name: str, args: ImagingArgs, opts: pulumi.ResourceOptions) -> None: ...


def called(args: ImagingArgs) -> str:
    """What the cloud calls the image: a name of its own for every mark, since one goes only when the next is there."""
    return f"skyrig-{args['name']}-{args['mark']}"


def described(args: ImagingArgs) -> str:
    """What it says of itself."""
    return f"Image {args['name']} of Skyrig, made by recipe {args['digest'][:16]}"


def of_cloud(cloud: str, name: str, args: ImagingArgs, opts: pulumi.ResourceOptions) -> Imaging:
    """The image on a cloud."""
    made: Imaging = getattr(clouds.module("components", cloud, "imaging"), f"{clouds.title(cloud)}Imaging")(
        name, args, opts
    )
    return made
