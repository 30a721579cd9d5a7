"""A machine image on Google Cloud: made of a boot disk, and there for every region of its project."""

import pulumi
from pulumi_gcp.compute.image import Image
from pulumi_gcp.provider import Provider

from components.imaging import ImagingArgs, described
from skyrig.clouds.gcp.names import cluster_name, labels
from skyrig.cluster.imagery import EVERYWHERE

_MADE_OF = ["sourceDisk", "diskSizeGb", "guestOsFeatures", "licenses", "storageLocations"]


class GcpImaging(pulumi.ComponentResource):
    """An image. It is read in every region, so copies are not made: Google keeps it in the multi-region that is nearest
    to the disk. The disk may be gone by then: what names it is not looked at again."""

    ids: pulumi.Output[dict[str, str]]
    """Its link, which holds in every region."""

    def __init__(self, name: str, args: ImagingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:GcpImaging", name, {}, opts)
        provider = Provider(
            f"{name}-provider",
            project=args["account"],
            region=args["region"],
            add_pulumi_attribution_label=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        made = Image(
            f"{name}-{args['mark']}",
            name=f"{cluster_name(args['stack'])}-{args['mark']}",  # by this beginning it is found
            family=f"skyrig-{args['name']}",
            description=described(args),
            source_disk=args["source"],
            labels=labels(args["tags"]),
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=provider,
                ignore_changes=_MADE_OF,
                custom_timeouts=pulumi.CustomTimeouts(create="120m"),
            ),
        )
        self.ids = made.id.apply(lambda link: {EVERYWHERE: link})
        self.register_outputs({"ids": self.ids})
