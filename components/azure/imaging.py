"""A machine image on Azure: a version in a compute gallery, with replicas in the regions that it is wanted in."""

from typing import Any

import pulumi
from pulumi_azure_native import Provider, compute, resources

from components.azure import aliases, names
from components.imaging import ImagingArgs, described
from skyrig.catalog import facts
from skyrig.clouds.azure import names as cloud_names

_MADE_OF = ["storageProfile"]


class AzureImaging(pulumi.ComponentResource):
    """A gallery with one definition and one version of it, in a resource group of their own.

    The definition is of a generalized machine. A specialized one would keep user, keys and host name of the builder,
    and takes no custom data at a first boot, by which every node of ours learns its own. The machine may be gone by the
    time of another run: what names it is not looked at again.
    """

    ids: pulumi.Output[dict[str, str]]
    """The version's id, by each region that it has replicas in."""

    def __init__(self, name: str, args: ImagingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(transformations=[aliases.dropped]))
        super().__init__("skyrig:index:AzureImaging", name, {}, opts)
        provider = Provider(
            f"{name}-provider", subscription_id=args["account"], opts=pulumi.ResourceOptions(parent=self)
        )
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self, provider=provider)
        group = resources.ResourceGroup(
            f"{name}-group",
            resource_group_name=cloud_names.resource_group(args["stack"]),
            location=args["region"],
            tags=args["tags"],
            opts=self._child,
        )
        self._placed = {"resource_group_name": group.name, "location": args["region"], "tags": args["tags"]}
        version = self._made(self._defined())
        regions = [args["region"], *args["regions"]]
        self.ids = version.id.apply(lambda made: dict.fromkeys(regions, made))
        self.register_outputs({"ids": self.ids})

    def _defined(self) -> compute.GalleryImage:
        """Gallery and definition: what a machine has to be that boots the image."""
        args = self._args
        gallery = compute.Gallery(
            f"{self._name}-gallery",
            gallery_name=names.gallery(args["stack"]),
            description=described(args),
            **self._placed,
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(ignore_changes=["description"])),
        )
        known = args["facts"]
        return compute.GalleryImage(
            f"{self._name}-definition-{args['mark']}",
            gallery_name=names.gallery(args["stack"]),
            gallery_image_name=names.definition(args["mark"], known),
            os_type="Linux",
            os_state="Generalized",
            hyper_v_generation=known.get("generation", "V2"),
            architecture="Arm64" if known.get("arch") == "arm64" else "x64",
            features=[{"name": "SecurityType", "value": known["security"]}] if known.get("security") else None,
            identifier={"publisher": "skyrig", "offer": args["name"], "sku": args["mark"]},
            **self._placed,
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=[gallery])),
        )

    def _made(self, definition: compute.GalleryImage) -> compute.GalleryImageVersion:
        """The version itself, which is made of the machine."""
        args, wanted = self._args, facts.of("azure", "imaging")
        kept: dict[str, Any] = {
            "storage_account_type": wanted["storage"],
            "regional_replica_count": wanted["replicas"],
        }
        return compute.GalleryImageVersion(
            f"{self._name}-{args['mark']}",
            gallery_name=names.gallery(args["stack"]),
            gallery_image_name=names.definition(args["mark"], args["facts"]),
            gallery_image_version_name="1.0.0",
            storage_profile={"source": {"virtual_machine_id": args["source"]}},
            publishing_profile={
                "target_regions": [{"name": region, **kept} for region in (args["region"], *args["regions"])],
            },
            safety_profile={"allow_deletion_of_replicated_locations": True},
            **self._placed,
            opts=pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(
                    depends_on=[definition],
                    ignore_changes=_MADE_OF,
                    custom_timeouts=pulumi.CustomTimeouts(create="180m", update="180m"),
                ),
            ),
        )
