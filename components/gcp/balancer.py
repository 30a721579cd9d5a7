"""The cloud's own balancer before the open ports of a cluster: an external passthrough Network Load Balancer."""

from typing import TypedDict

import pulumi
from pulumi_gcp.compute.address import Address
from pulumi_gcp.compute.forwarding_rule import ForwardingRule
from pulumi_gcp.compute.instance_group import InstanceGroup
from pulumi_gcp.compute.region_backend_service import RegionBackendService
from pulumi_gcp.compute.region_health_check import RegionHealthCheck

DRAINING_S = 60
"""How long connections to a head that goes may go on, in seconds."""


class GcpBalancerArgs(TypedDict):
    """What a balancer is made from."""

    cluster: str
    """Beginning of all names."""
    description: str
    """Description of what carries no labels."""
    labels: dict[str, str]
    """Labels of address and rules."""
    region: str
    """Region of the balancer."""
    zone: str
    """Zone of the head."""
    head: pulumi.Input[str]
    """Link of the head's instance."""
    head_id: pulumi.Input[str]
    """Google's own id of it: another one under the same name is another machine."""
    ports: list[int]
    """Ports of the head that it is before, each under its own number."""


class GcpBalancer(pulumi.ComponentResource):
    """A balancer with an address of its own, in the region of the head. It passes packets on as they come, to the first
    interface of the head: so the firewall rule that lets everybody in at these ports holds for it and for its probes.

    The group that the head is in has the head's own id in its name. A machine that is made anew under the same name
    leaves the group that its predecessor was in empty, which nobody would see."""

    address: pulumi.Output[str]
    """Its public address."""

    def __init__(self, name: str, args: GcpBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:GcpBalancer", name, {}, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        service = self._service(name, args)
        address = Address(
            f"{name}-address",
            name=f"{args['cluster']}-entrance",
            region=args["region"],
            network_tier="PREMIUM",
            labels=args["labels"],
            opts=self._child,
        )
        rules = [
            ForwardingRule(
                f"{name}-{port}",
                name=f"{args['cluster']}-entrance-{port}",
                region=args["region"],
                load_balancing_scheme="EXTERNAL",
                network_tier="PREMIUM",
                ip_address=address.address,
                ip_protocol="TCP",
                port_range=str(port),
                backend_service=service,
                labels=args["labels"],
                opts=self._child,
            )
            for port in args["ports"]
        ]
        # The address answers once the rules are there.
        self.address = pulumi.Output.all(address.address, *(rule.id for rule in rules)).apply(
            lambda known: str(known[0])
        )
        self.register_outputs({"address": self.address})

    def _service(self, name: str, args: GcpBalancerArgs) -> pulumi.Output[str]:
        """Id of what passes connections on to the head, for as long as it takes any."""
        named = {"description": args["description"], "opts": self._kept()}
        group = InstanceGroup(
            f"{name}-head",
            name=pulumi.Output.concat(f"{args['cluster']}-head-", args["head_id"]),
            zone=args["zone"],
            instances=[args["head"]],
            **named,
        )
        probe = RegionHealthCheck(
            f"{name}-probe",
            name=f"{args['cluster']}-probe",
            region=args["region"],
            check_interval_sec=5,
            timeout_sec=5,
            healthy_threshold=2,
            unhealthy_threshold=2,
            tcp_health_check={"port": args["ports"][0]},
            **named,
        )
        service = RegionBackendService(
            f"{name}-service",
            name=f"{args['cluster']}-entrance",
            region=args["region"],
            load_balancing_scheme="EXTERNAL",
            protocol="TCP",
            health_checks=probe.id,
            connection_draining_timeout_sec=DRAINING_S,
            backends=[{"group": group.self_link, "balancing_mode": "CONNECTION"}],
            **named,
        )
        made: pulumi.Output[str] = service.id
        return made

    def _kept(self) -> pulumi.ResourceOptions:
        """Their descriptions say what labels say elsewhere, as it was when they were made."""
        return pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(ignore_changes=["description"]))
