"""The Image component: one machine image with its copies, described in one output."""

from typing import Any

import pulumi

from components import imaging
from components.imaging import ImagingArgs
from components.refuse import refuse
from skyrig.cluster import clouds
from skyrig.cluster.imagery import MadeImage


class ImageArgs(ImagingArgs):
    """What the component is made from."""

    cloud: str
    """Where the image is."""
    made_at: float
    """When it was first asked for, in seconds since the epoch."""


class Image(pulumi.ComponentResource):
    """A machine image of a stack of its own. The component of its cloud is imported where it is used, since SDKs are
    large."""

    description: pulumi.Output[dict[str, Any]]
    """The image's description (skyrig/cluster/imagery.py)."""

    def __init__(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        makes = clouds.has("components", args["cloud"], "imaging")
        refuse("Image", {} if makes else {"cloud": f"no machine images are made on {args['cloud']}"})
        super().__init__("skyrig:index:Image", name, {}, opts)
        wanted: ImagingArgs = {key: args[key] for key in ImagingArgs.__annotations__}  # type: ignore[literal-required,assignment]
        child = pulumi.ResourceOptions(parent=self)
        made = imaging.of_cloud(args["cloud"], f"{name}-{args['cloud']}", wanted, child)
        self.description = made.ids.apply(lambda ids: _described(args, ids))
        self.register_outputs({"image": self.description})


def _described(args: ImageArgs, ids: dict[str, str]) -> dict[str, Any]:
    return MadeImage(
        name=args["name"],
        cloud=args["cloud"],
        ids=dict(sorted(ids.items())),
        digest=args["digest"],
        made_at=args["made_at"],
        size_gb=args["size_gb"],
        region=args["region"],
        account=args["account"],
        source=args["source"],
        arch=args["facts"].get("arch", ""),
    ).to_json()
