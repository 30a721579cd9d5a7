"""A cluster on AWS: its network, identity, image and groups of nodes."""

from typing import Any

import pulumi
import pulumi_aws as aws

from components import describe
from components.aws import image
from components.aws.balancer import AwsBalancer
from components.aws.firewall import AwsFirewall
from components.aws.group import AwsNodeGroup
from components.aws.identity import AwsIdentity
from components.aws.network import AwsNetwork
from components.aws.wrong import wrong
from components.refuse import refuse
from components.tags import tags
from components.wanted import CloudArgs, WantedNodeArgs, balanced
from skyrig import places
from skyrig.catalog import egress, instances
from skyrig.cluster.machine import capacity, paid_in


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
        base = self._base(name, args, machine["egress"] or egress.default(len(args["nodes"])), child)
        where = image.source(instances.find("aws", machine["instance_type"]), machine["image"])
        base["image_id"] = image.found(where, pulumi.InvokeOptions(parent=self, provider=provider))
        base["image_mark"] = image.mark(where)
        said: dict[str, pulumi.Output[describe.SaidNode]] = {}
        for group in dict.fromkeys(wanted["group"] for wanted in args["nodes"]):
            nodes = [wanted for wanted in args["nodes"] if wanted["group"] == group]
            said |= AwsNodeGroup(f"{name}-{group}", _of_group(args, nodes, base), child).said
        records = places.records(args["stack"]).as_uri()
        entrance = self._entrance(name, args, base, said[args["nodes"][0]["id"]], child)
        everyone = (said[node["id"]] for node in args["nodes"])
        self.description = pulumi.Output.all(args["public_key"], entrance, *everyone).apply(
            lambda known: describe.describe("aws", args, known[2:], known[0], records, known[1])
        )
        self.register_outputs({"description": self.description})

    def _entrance(
        self,
        name: str,
        args: CloudArgs,
        base: dict[str, Any],
        head: pulumi.Output[describe.SaidNode],
        child: pulumi.ResourceOptions,
    ) -> pulumi.Input[str]:
        """The address of the balancer; "" where none is wanted."""
        if not balanced(args):
            return ""
        return AwsBalancer(
            f"{name}-balancer",
            {
                "vpc_id": base["vpc_id"],
                "subnet_id": base["public_subnet_id"],
                "head": head.apply(lambda said: said["machine"]),
                "ports": balanced(args),
                "tags": base["tags"],
            },
            child,
        ).address

    def _base(self, name: str, args: CloudArgs, way: str, child: pulumi.ResourceOptions) -> dict[str, Any]:
        """What nodes stand on, as their group is told it. `way` is how they reach the internet."""
        machine, ours = args["machine"], tags(args)
        network = AwsNetwork(
            f"{name}-network",
            {
                "region": machine["region"],
                "zone": machine["zone"],
                "vpc": machine["network"],
                "egress": way,
                "tags": ours,
            },
            child,
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
            f"{name}-identity",
            {
                "stack": args["stack"],
                "region": machine["region"],
                "account": machine["account"],
                "buckets": [url.removeprefix("s3://") for url in machine["reaches"]],
                "tags": ours,
            },
            child,
        )
        return {
            "vpc_id": network.vpc_id,
            "public_subnet_id": network.public_subnet_id,
            "private_subnet_id": network.private_subnet_id,
            "nodes_group_id": firewall.nodes_group_id,
            "head_group_id": firewall.head_group_id,
            "profile_name": identity.profile_name,
            "each_public": way == "public-outbound",
            "tags": ours,
        }


def _of_group(args: CloudArgs, nodes: list[WantedNodeArgs], base: dict[str, Any]) -> Any:
    """AwsNodeGroupArgs of the group of `nodes`."""
    machine = args["machine"]
    return {
        **{key: value for key, value in base.items() if key != "vpc_id"},
        "stack": args["stack"],
        "nodes": nodes,
        "head": args["nodes"][0]["id"],
        "instance_type": machine["instance_type"],
        "network_tier": machine["network_tier"],
        "capacity": str(paid_in(capacity(machine["capacity"]), nodes[0]["group"])),
        "container": image.container(machine["image"]),
        "disk_gb": machine["disk_gb"],
        "disk_tier": machine["disk_tier"],
        "public_key": args["public_key"],
        "power": args["power"],
        "starts": args["starts"],
    }
