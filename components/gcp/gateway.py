"""The way of nodes without public addresses to the internet."""

from typing import TypedDict

import pulumi
from pulumi_gcp.compute.router import Router
from pulumi_gcp.compute.router_nat import RouterNat


class GcpGatewayArgs(TypedDict):
    """What a NAT gateway is made from."""

    cluster: str
    """Beginning of all names."""
    description: str
    """Description of the router: it carries no labels."""
    region: str
    """Region of the subnet."""
    network: pulumi.Input[str]
    """Link of the network."""
    subnetwork: pulumi.Input[str]
    """Link of the subnet whose machines go out through it."""


class GcpGateway(pulumi.ComponentResource):
    """Cloud NAT for one subnet: machines in it open connections to the internet, nobody opens one to them."""

    def __init__(self, name: str, args: GcpGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:GcpGateway", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        router = Router(
            f"{name}-router",
            name=f"{args['cluster']}-router",
            description=args["description"],
            network=args["network"],
            region=args["region"],
            opts=child,
        )
        RouterNat(
            f"{name}-nat",
            name=f"{args['cluster']}-nat",
            router=router.name,
            region=args["region"],
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="LIST_OF_SUBNETWORKS",
            subnetworks=[{"name": args["subnetwork"], "source_ip_ranges_to_nats": ["ALL_IP_RANGES"]}],
            # A node that fetches a model opens many connections at once: 64 ports, the default, are too few.
            enable_dynamic_port_allocation=True,
            min_ports_per_vm=1024,
            max_ports_per_vm=32768,
            opts=child,
        )
        self.register_outputs({})
