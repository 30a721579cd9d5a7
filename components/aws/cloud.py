"""A cluster on AWS: its network, identity, image and groups of nodes."""

from typing import Any

import pulumi
import pulumi_aws as aws

from components import describe
from components.aws import image
from components.aws.firewall import AwsFirewall
from components.aws.group import AwsNodeGroup
from components.aws.identity import AwsIdentity
from components.aws.network import AwsNetwork
from components.aws.wrong import wrong
from components.refuse import refuse
from components.tags import tags
from components.wanted import CloudArgs
from skyrig import places
from skyrig.catalog import egress, instances


class AwsCloud(pulumi.ComponentResource):
    """Everything of one stack on AWS, in one account, region and zone."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("AwsCloud", wrong(args))
        super().__init__("skyrig:index:AwsCloud", name, {}, opts)
        machine = args["machine"]
        provider = aws.Provider(
            f"{name}-provider",
            region=machine["region"],
            # No other account is ever read, changed or destroyed, whatever credentials are at hand.
            allowed_account_ids=[machine["account"]] if machine["account"] else None,
            opts=pulumi.ResourceOptions(parent=self),
        )
        child = pulumi.ResourceOptions(parent=self, providers={"aws": provider})
        way = machine["egress"] or egress.default(len(args["nodes"]))
        groups = self._groups(name, args, way, child)
        said = [groups[wanted["group"]].said[wanted["id"]] for wanted in args["nodes"]]
        records = places.records(args["stack"]).as_uri()
        self.description = pulumi.Output.all(args["public_key"], *said).apply(
            lambda known: describe.describe("aws", args, known[1:], known[0], records)
        )
        self.register_outputs({"description": self.description})

    def _groups(self, name: str, args: CloudArgs, way: str, child: pulumi.ResourceOptions) -> dict[str, AwsNodeGroup]:
        """The nodes by group, with all that they stand on."""
        machine, ours = args["machine"], tags(args)
        place = {"region": machine["region"], "tags": ours}
        network = AwsNetwork(
            f"{name}-network", {**place, "zone": machine["zone"], "vpc": machine["network"], "egress": way}, child
        )
        firewall = AwsFirewall(
            f"{name}-firewall",
            {
                "vpc_id": network.vpc_id,
                "ssh_from": machine["ssh_from"],
                "ports": args["ports"],
                "internet": way != "none",
                "prefix_lists": network.prefix_lists,
                "tags": ours,
            },
            child,
        )
        identity = AwsIdentity(
            f"{name}-identity", {**place, "stack": args["stack"], "account": machine["account"], "buckets": []}, child
        )
        where = image.source(instances.find("aws", machine["instance_type"]), machine["image"])
        image_id = image.found(where, pulumi.InvokeOptions(provider=child.providers["aws"]))
        return {
            group: AwsNodeGroup(
                f"{name}-{group}",
                {
                    "stack": args["stack"],
                    "nodes": [wanted for wanted in args["nodes"] if wanted["group"] == group],
                    "head": args["nodes"][0]["id"],
                    "instance_type": machine["instance_type"],
                    "network_tier": machine["network_tier"],
                    "capacity": machine["capacity"],
                    "each_public": way == "public-outbound",
                    "image_id": image_id,
                    "image_mark": image.mark(where),
                    "container": image.container(machine["image"]),
                    "disk_gb": machine["disk_gb"],
                    "disk_tier": machine["disk_tier"],
                    "public_subnet_id": network.public_subnet_id,
                    "private_subnet_id": network.private_subnet_id,
                    "nodes_group_id": firewall.nodes_group_id,
                    "head_group_id": firewall.head_group_id,
                    "profile_name": identity.profile_name,
                    "public_key": args["public_key"],
                    "power": args["power"],
                    "starts": args["starts"],
                    "tags": ours,
                },
                child,
            )
            for group in dict.fromkeys(wanted["group"] for wanted in args["nodes"])
        }
