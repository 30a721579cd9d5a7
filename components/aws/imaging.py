"""A machine image on AWS: an AMI of a stopped instance, and copies of it in other regions."""

import pulumi
import pulumi_aws as aws

from components.imaging import ImagingArgs, called, described
from components.tags import STACK

_MADE_OF = ["sourceInstanceId", "snapshotWithoutReboot", "ebsBlockDevices", "ephemeralBlockDevices"]
_COPIED_FROM = ["sourceAmiId", "sourceAmiRegion", "encrypted", "kmsKeyId", "ebsBlockDevices", "ephemeralBlockDevices"]
_TIME = pulumi.CustomTimeouts(create="120m", delete="60m")
"""Snapshots of a full disk of some hundred GiB take more than the provider's 40 minutes."""


class AwsImaging(pulumi.ComponentResource):
    """An AMI and its copies. Their snapshots go with them. The builder may be gone by then: nothing that names it, or
    the image that a copy is of, is looked at again."""

    ids: pulumi.Output[dict[str, str]]
    """Ids of the AMIs by region."""

    def __init__(self, name: str, args: ImagingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AwsImaging", name, {}, opts)
        self._name, self._args = name, args
        self._providers: dict[str, aws.Provider] = {}
        self._tags = {**args["tags"], "Name": called(args)}
        home = aws.ec2.AmiFromInstance(
            f"{name}-{args['mark']}",
            name=called(args),
            description=described(args),
            source_instance_id=args["source"],
            snapshot_without_reboot=True,  # it is stopped
            tags=self._tags,
            opts=self._placed(args["region"], _MADE_OF),
        )
        self._mark(home, args["region"])
        made = {args["region"]: home.id, **{region: self._copy(home, region).id for region in args["regions"]}}
        self.ids = pulumi.Output.all(**made)
        self.register_outputs({"ids": self.ids})

    def _copy(self, home: aws.ec2.AmiFromInstance, region: str) -> aws.ec2.AmiCopy:
        """The same in another region: encrypted where the source is, by that region's own key."""
        made = aws.ec2.AmiCopy(
            f"{self._name}-{self._args['mark']}-{region}",
            name=called(self._args),
            description=described(self._args),
            source_ami_id=home.id,
            source_ami_region=self._args["region"],
            encrypted=self._args["facts"].get("encrypted") == "true",
            region=region,  # by this a copy is looked for whose making was cut off
            tags=self._tags,
            opts=self._placed(region, _COPIED_FROM),
        )
        self._mark(made, region)
        return made

    def _mark(self, image: aws.ec2.AmiFromInstance | aws.ec2.AmiCopy, region: str) -> None:
        """The stack's tag on the snapshot of an image, which has none of the image's own: so it is found where it was
        left alone. The tag goes with the snapshot, not before it."""
        aws.ec2.Tag(
            f"{self._name}-{self._args['mark']}-{region}-snapshot",
            resource_id=image.root_snapshot_id,
            key=STACK,
            value=self._args["stack"],
            opts=pulumi.ResourceOptions(
                parent=self, provider=self._providers[region], retain_on_delete=True, deleted_with=image
            ),
        )

    def _placed(self, region: str, read_once: list[str]) -> pulumi.ResourceOptions:
        """Options of what is in a region: a provider that touches no other account, and what is read once alone."""
        self._providers[region] = aws.Provider(
            f"{self._name}-{region}-provider",
            region=region,
            allowed_account_ids=[self._args["account"]] if self._args["account"] else None,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pulumi.ResourceOptions(
            parent=self, provider=self._providers[region], ignore_changes=read_once, custom_timeouts=_TIME
        )
