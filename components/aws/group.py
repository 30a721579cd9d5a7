"""A group of nodes that are made alike: EC2 instances by node id."""

from typing import Any, TypedDict

import pulumi
import pulumi_aws as aws

from components.aws import address, efa, market, power, template
from components.aws.boot import Startup, startup
from components.aws.disks import boot
from components.describe import SaidNode
from components.hostkey import HostKey
from components.tags import NODE
from components.wanted import WantedNodeArgs
from skyrig.catalog import instances
from skyrig.cluster.machine import capacity


class AwsNodeGroupArgs(TypedDict):
    """What a group of nodes is made from."""

    stack: str
    """Name of the stack, which is the cluster's."""
    nodes: list[WantedNodeArgs]
    """Wanted nodes, all of this group."""
    head: str
    """Id of the cluster's head, which has the public address and the second security group; "" if it is elsewhere."""
    instance_type: str
    """Type of each node."""
    network_tier: str
    """standard, or best: EFA on every network card that has it, and a cluster placement group."""
    capacity: str
    """on-demand, spot, reservation/ID or block/ID."""
    each_public: bool
    """Whether each node has a public address of its own, at which nothing is let in."""
    image_id: pulumi.Input[str]
    """Image (AMI) that nodes boot from when they are made. A newer one leaves those that are there alone."""
    image_mark: str
    """Another mark is another image that is wanted: nodes are replaced."""
    container: str
    """Image of the container that jobs run in; "" where they run on the machine."""
    disk_gb: int
    """Boot disk in GiB; it grows in place."""
    disk_tier: str
    """low, medium, high, ultra or best."""
    public_subnet_id: pulumi.Input[str]
    """Subnet of nodes with a public address."""
    private_subnet_id: pulumi.Input[str]
    """Subnet of all others, and of EFA interfaces."""
    nodes_group_id: pulumi.Input[str]
    """Security group of all nodes."""
    head_group_id: pulumi.Input[str]
    """Security group that the head has as well."""
    profile_name: pulumi.Input[str]
    """Instance profile of the nodes."""
    public_key: pulumi.Input[str]
    """Public key that may log in from the start."""
    power: str
    """Wanted power: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts nodes that stopped themselves."""
    tags: dict[str, str]
    """Tags on everything that is made."""


class AwsNodeGroup(pulumi.ComponentResource):
    """Nodes of one group. A node is known by its id alone: adding or removing one leaves the others as they are.

    `said` is what is known of each node by its id, for the cluster description.
    """

    def __init__(self, name: str, args: AwsNodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AwsNodeGroup", name, {}, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        self._kind = instances.find("aws", args["instance_type"])
        self._placement = self._place(name, args)
        self._templates: dict[bool, aws.ec2.LaunchTemplate] = {}
        self.said: dict[str, pulumi.Output[SaidNode]] = {
            wanted["id"]: self._node(name, args, wanted) for wanted in args["nodes"]
        }
        self.register_outputs({"node_ids": list(self.said)})

    def _place(self, name: str, args: AwsNodeGroupArgs) -> pulumi.Output[str] | None:
        """Nodes with EFA stand close together; where capacity is reserved, it stands where it is."""
        if not efa.wanted(self._kind, args["network_tier"]) or not market.placed(capacity(args["capacity"])):
            return None
        group = aws.ec2.PlacementGroup(f"{name}-placement", strategy="cluster", tags=args["tags"], opts=self._child)
        placed: pulumi.Output[str] = group.name
        return placed

    def _template(self, name: str, args: AwsNodeGroupArgs, head: bool) -> aws.ec2.LaunchTemplate:
        """What instances are launched from: one template for the head, one for all other nodes."""
        if head not in self._templates:
            self._templates[head] = aws.ec2.LaunchTemplate(
                f"{name}-{'head' if head else 'nodes'}-{args['image_mark']}",
                **template.properties(self._kind, args, head, self._placement),
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["imageId"]),
            )
        return self._templates[head]

    def _node(self, name: str, args: AwsNodeGroupArgs, wanted: WantedNodeArgs) -> pulumi.Output[SaidNode]:
        head = wanted["id"] == args["head"]
        node = f"{name}-{wanted['id']}-{wanted['version']}"
        tags = {**args["tags"], NODE: wanted["id"], "Name": f"{args['stack']}-{wanted['id']}"}
        key = HostKey(f"{node}-key", f"{args['stack']}/{wanted['id']}/{wanted['version']}", self._child)
        made = self._template(name, args, head)
        instance = aws.ec2.Instance(
            node,
            launch_template={"id": made.id, "version": made.latest_version.apply(lambda number: str(int(number)))},
            root_block_device={**boot(args["disk_tier"], args["disk_gb"]), "tags": tags},
            instance_initiated_shutdown_behavior=power.on_shutdown(self._kind, capacity(args["capacity"])),
            user_data_base64=self._startup(args, wanted, key),
            tags=tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                ignore_changes=["userDataBase64"],
                additional_secret_outputs=["userDataBase64"],
                delete_before_replace=True,  # two of them are paid for twice, and a reservation has room for one
            ),
        )
        state = power.switched(node, instance.id, args["power"], args["starts"], self)
        public = address.given(f"{name}-{wanted['id']}", instance, tags, self) if head or self._several(args) else ""
        return pulumi.Output.all(instance.id, instance.private_ip, public, key.public_key, state).apply(
            lambda known: {
                "id": wanted["id"],
                "machine": known[0],
                "boot": "",
                "public": known[2] if head else "",  # nothing is let in at that of any other node
                "private": known[1],
                "host_key": known[3],
                "power": "stopped" if known[4] in ("stopped", "stopping") else "up",
            }
        )

    def _several(self, args: AwsNodeGroupArgs) -> bool:
        """Whether each node needs an address that is given to it: AWS assigns none to several interfaces."""
        return args["each_public"] and len(efa.interfaces(self._kind, args["network_tier"])) > 1

    def _startup(self, args: AwsNodeGroupArgs, wanted: WantedNodeArgs, key: HostKey) -> pulumi.Output[str]:
        said: Startup = {
            "host": f"{args['stack']}-{wanted['id']}",
            "fabric": "efa" if efa.wanted(self._kind, args["network_tier"]) else "none",
            "accelerator": self._kind.accelerator,
            "accelerator_count": self._kind.accelerator_count,
            "container": args["container"],
            "ends_at": wanted.get("ends_at", 0),
        }
        known: pulumi.Output[list[Any]] = pulumi.Output.all(key.private_key, key.public_key, args["public_key"])
        return pulumi.Output.secret(known.apply(lambda keys: startup(said, *keys)))
