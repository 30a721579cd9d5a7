"""A machine image on AWS: an AMI of a stopped instance, and copies of it in other regions."""

import pulumi
import pulumi_aws as aws

from components.imaging import ImagingArgs, called, described

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
        made = {args["region"]: home.id, **{region: self._copy(home, region).id for region in args["regions"]}}
        self.ids = pulumi.Output.all(**made)
        self.register_outputs({"ids": self.ids})

    def _copy(self, home: aws.ec2.AmiFromInstance, region: str) -> aws.ec2.AmiCopy:
        """The same in another region: encrypted where the source is, by that region's own key."""
        return aws.ec2.AmiCopy(
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

    def _placed(self, region: str, read_once: list[str]) -> pulumi.ResourceOptions:
        """Options of what is in a region: a provider that touches no other account, and what is read once alone."""
        provider = aws.Provider(
            f"{self._name}-{region}-provider",
            region=region,
            allowed_account_ids=[self._args["account"]] if self._args["account"] else None,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pulumi.ResourceOptions(parent=self, provider=provider, ignore_changes=read_once, custom_timeouts=_TIME)
