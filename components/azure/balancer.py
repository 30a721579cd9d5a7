"""The cloud's own balancer before the open ports of a cluster: a Standard Load Balancer."""

from typing import Any, TypedDict

import pulumi
from pulumi_azure_native import network

NAME = "entrance"
"""Name of the balancer and of its address in their resource group, and of its front."""
POOL = "head"
"""Name of the pool that the head's interface is in."""


class AzureBalancerArgs(TypedDict):
    """What a balancer is made from."""

    group: str
    """Path of the resource group of everything that is made, which the balancer's own parts are known by."""
    resource_group: pulumi.Input[str]
    """Name of that group, known once it is there."""
    region: str
    """Region of the head."""
    ports: list[int]
    """Ports of the head that it is before, each under its own number."""
    tags: dict[str, str]
    """Tags on everything that is made."""


class AzureBalancer(pulumi.ComponentResource):
    """A Standard Load Balancer with an address of its own. Whoever connects is seen by the head under his own address,
    so the rule that lets everybody in at these ports holds for it; its probes come from Azure itself, and have a rule
    of their own (components/azure/rules.py). The head's interface says that it is in the pool: it is made later."""

    address: pulumi.Output[str]
    """Its public address."""

    pool: pulumi.Output[str]
    """Id of the pool for the head's interface."""

    def __init__(self, name: str, args: AzureBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AzureBalancer", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        place: dict[str, Any] = {
            "resource_group_name": args["resource_group"],
            "location": args["region"],
            "tags": args["tags"],
        }
        address = network.PublicIPAddress(
            f"{name}-address",
            public_ip_address_name=NAME,
            public_ip_allocation_method="Static",
            sku={"name": "Standard"},
            **place,
            opts=child,
        )
        made = network.LoadBalancer(
            f"{name}-balancer",
            load_balancer_name=NAME,
            sku={"name": "Standard"},
            frontend_ip_configurations=[{"name": NAME, "public_ip_address": {"id": address.id}}],
            backend_address_pools=[{"name": POOL}],
            probes=[probe(port) for port in args["ports"]],
            load_balancing_rules=[rule(args["group"], port) for port in args["ports"]],
            **place,
            opts=child,
        )
        self.pool = made.id.apply(lambda found: f"{found}/backendAddressPools/{POOL}")
        self.address = address.ip_address.apply(lambda found: found or "")
        self.register_outputs({"address": self.address, "pool": self.pool})


def probe(port: int) -> dict[str, Any]:
    """How it is seen whether the head takes connections at a port: twice none in ten seconds is no."""
    return {"name": f"port-{port}", "protocol": "Tcp", "port": port, "interval_in_seconds": 5, "probe_threshold": 2}


def rule(group: str, port: int) -> dict[str, Any]:
    """What passes connections on at a port. The head opens its own by its own address, not by this one. `group` is the
    path of the balancer's resource group: parts of a balancer name each other by their paths."""
    balancer = f"{group}/providers/Microsoft.Network/loadBalancers/{NAME}"
    return {
        "name": f"port-{port}",
        "protocol": "Tcp",
        "frontend_port": port,
        "backend_port": port,
        "frontend_ip_configuration": {"id": f"{balancer}/frontendIPConfigurations/{NAME}"},
        "backend_address_pool": {"id": f"{balancer}/backendAddressPools/{POOL}"},
        "probe": {"id": f"{balancer}/probes/port-{port}"},
        "idle_timeout_in_minutes": 30,
        "enable_tcp_reset": True,
        "disable_outbound_snat": True,
    }
