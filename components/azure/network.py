"""The network of a cluster: its own, or a place in one that is there."""

from typing import Any, TypedDict

import pulumi
from pulumi_azure_native import network

from components.azure import subnets
from components.azure.adopted import fit
from components.azure.rules import rules


class AzureNetworkArgs(TypedDict):
    """What the network of a cluster is made from."""

    resource_group: pulumi.Input[str]
    """Resource group for everything that is made."""
    region: str
    """Region of the network."""
    account: str
    """Subscription of the network."""
    network: str
    """Existing subnet to use, GROUP/NETWORK/SUBNET or its id; "" makes a network. Nothing of an existing one is
    changed."""
    egress: str
    """nat: a NAT gateway (of an existing network: its own); public-outbound and none make none."""
    fabric: str
    """Fabric of the nodes (skyrig.catalog.fabrics): InfiniBand keeps an address space for itself."""
    ssh_from: list[str]
    """Networks that may log in at the head, CIDR."""
    ports: list[str]
    """Ports of the head that are open to everyone, as ranges: 8000, 9000-9010."""
    balanced: bool
    """Whether Azure's own balancer is before these ports."""
    tags: dict[str, str]
    """Tags on everything."""


class AzureNetwork(pulumi.ComponentResource):
    """A subnet for nodes, and the rules for who may reach them."""

    subnet: pulumi.Output[str]
    """Id of the subnet for nodes."""

    security_group: pulumi.Output[str]
    """Id of the network security group for the nodes' interfaces."""

    nodes: pulumi.Output[str]
    """Id of the application security group that every node's interface is in."""

    head: pulumi.Output[str]
    """Id of the application security group that the head's interface is in too."""

    def __init__(self, name: str, args: AzureNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AzureNetwork", name, {}, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._place: dict[str, Any] = {"resource_group_name": args["resource_group"], "location": args["region"]}
        self.subnet = self._adopted() if args["network"] else self._made()
        self.nodes, self.head = self._application_group("nodes"), self._application_group("head")
        group = network.NetworkSecurityGroup(
            f"{name}-rules",
            network_security_group_name="rules",
            security_rules=rules(
                self.nodes, self.head, args["ssh_from"], args["ports"], args["ports"] if args["balanced"] else ()
            ),
            tags=args["tags"],
            **self._place,
            opts=self._child,
        )
        self.security_group = group.id
        self.register_outputs({"subnet": self.subnet, "security_group": self.security_group})

    def _made(self) -> pulumi.Output[str]:
        name, args = self._name, self._args
        whole = network.VirtualNetwork(
            f"{name}-network",
            virtual_network_name="network",
            address_space={"address_prefixes": [subnets.NETWORK]},
            tags=args["tags"],
            **self._place,
            opts=self._child,
        )
        gateway = self._gateway() if args["egress"] == "nat" else None
        part = network.Subnet(
            f"{name}-subnet",
            subnet_name="nodes",
            virtual_network_name=whole.name,
            resource_group_name=args["resource_group"],
            address_prefix=subnets.SUBNET,
            default_outbound_access=False,  # Azure's own way out without an address is neither told nor lasting
            nat_gateway={"id": gateway} if gateway is not None else None,
            opts=self._child,
        )
        made: pulumi.Output[str] = part.id
        return made

    def _gateway(self) -> pulumi.Output[str]:
        name, tags = self._name, self._args["tags"]
        address = network.PublicIPAddress(
            f"{name}-gateway-address",
            public_ip_address_name="gateway",
            public_ip_allocation_method="Static",
            sku={"name": "Standard"},
            tags=tags,
            **self._place,
            opts=self._child,
        )
        gateway = network.NatGateway(
            f"{name}-gateway",
            nat_gateway_name="gateway",
            sku={"name": "Standard"},
            idle_timeout_in_minutes=30,
            public_ip_addresses=[{"id": address.id}],
            tags=tags,
            **self._place,
            opts=self._child,
        )
        made: pulumi.Output[str] = gateway.id
        return made

    def _application_group(self, role: str) -> pulumi.Output[str]:
        group = network.ApplicationSecurityGroup(
            f"{self._name}-{role}",
            application_security_group_name=role,
            tags=self._args["tags"],
            **self._place,
            opts=self._child,
        )
        made: pulumi.Output[str] = group.id
        return made

    def _adopted(self) -> pulumi.Output[str]:
        """The id of an existing subnet, once it was looked at and will do."""
        args = self._args
        where = subnets.parse(args["network"], args["account"])
        if where is None:
            raise pulumi.InputPropertyError("network", "GROUP/NETWORK/SUBNET or the id of a subnet is wanted")
        found = network.get_virtual_network_output(
            resource_group_name=where.group,
            virtual_network_name=where.network,
            opts=pulumi.InvokeOptions(parent=self),
        )
        subnet: pulumi.Output[str] = found.apply(
            lambda seen: fit(seen, where.subnet, args["region"], args["egress"], args["fabric"])
        )
        return subnet
