"""Public addresses that are given to nodes."""

import pulumi
import pulumi_aws as aws


def given(node: str, instance: aws.ec2.Instance, tags: dict[str, str], parent: pulumi.Resource) -> pulumi.Output[str]:
    """A public address that stays while the instance behind it is stopped or replaced. It is at the primary interface:
    an instance with several interfaces takes none by its own id."""
    child = pulumi.ResourceOptions(parent=parent)
    address = aws.ec2.Eip(f"{node}-address", domain="vpc", tags=tags, opts=child)
    aws.ec2.EipAssociation(
        f"{node}-addressed",
        allocation_id=address.id,
        network_interface_id=instance.primary_network_interface_id,
        allow_reassociation=True,  # it may be with an instance that somebody has ended
        opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=True),
    )
    public: pulumi.Output[str] = address.public_ip
    return public
