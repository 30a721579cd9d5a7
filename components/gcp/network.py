"""The networks that the nodes of a cluster are in."""

from typing import TypedDict

import pulumi
from pulumi_gcp.compute.network import Network
from pulumi_gcp.compute.subnetwork import Subnetwork

from components.gcp import gpudirect, ranges
from components.gcp.adoption import adopt
from components.gcp.gpudirect import FabricNetwork
from components.gcp.nics import FabricNicArgs
from components.refuse import refuse
from skyrig.catalog import instances


class GcpNetworkArgs(TypedDict):
    """What the networks of a cluster are made from."""

    cluster: str
    """Beginning of all names: skyrig.clouds.gcp.names.cluster_name."""
    description: str
    """Description of what carries no labels."""
    project: str
    """Project that owns an adopted network where it names none."""
    region: str
    """Region of the subnets."""
    zone: str
    """Zone of the nodes: RoCE networks are made for one zone."""
    instance_type: str
    """Type of the nodes: its fabric says which networks there are (skyrig.catalog, facts.networks)."""
    network_tier: str
    """standard: one network; best: those of the type's fabric too."""
    adopt: str
    """An existing network, [projects/PROJECT/global/networks/]NAME[:SUBNET], in place of an own one; "" makes one.
    Networks of the fabric are always made."""


class GcpNetwork(pulumi.ComponentResource):
    """One VPC network with one subnet, or an existing one, and the networks of the fabric, one VPC each; RoCE
    interfaces have their subnets in one VPC of the RoCE profile.

    `fabric` are the interfaces that each node has in the networks of the fabric; `fabric_networks` are the links of
    those that take firewall rules; `range` is the cluster subnet's range (CIDR).
    """

    network: pulumi.Output[str]
    """Link of the cluster's network."""

    subnetwork: pulumi.Output[str]
    """Link of the subnet that nic0 of each node is in."""

    def __init__(self, name: str, args: GcpNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:GcpNetwork", name, {}, opts)
        self._name, self._args = name, args
        self.range = ranges.MAIN
        kind = instances.find("gcp", args["instance_type"])
        if args["adopt"]:
            read = pulumi.InvokeOptions(parent=self)
            found = adopt("GcpNetwork", args["adopt"], args["region"], args["project"], read)
            self.network, self.subnetwork = (
                pulumi.Output.from_input(found.network),
                pulumi.Output.from_input(found.subnetwork),
            )
            self.range = found.range
        else:
            main = FabricNetwork("main", gpudirect.mtu(kind, args["network_tier"]), "GVNIC")
            (self.network, (self.subnetwork, *_)) = self._made(main, [self.range])
        wanted = gpudirect.networks(kind, args["network_tier"], args["zone"])
        try:
            free = iter(ranges.fabric_ranges(gpudirect.subnets(wanted), self.range))
        except ValueError as error:
            refuse("GcpNetwork", {"machine.network": str(error)})
        self.fabric: list[FabricNicArgs] = []
        self.fabric_networks: list[pulumi.Input[str]] = []
        for each in wanted:
            network, subnets = self._made(each, [next(free) for _ in range(each.subnets)])
            self.fabric += [{"subnetwork": link, "nic_type": each.nic_type} for link in subnets]
            if not each.profile:
                self.fabric_networks.append(network)
        self.register_outputs({"network": self.network, "subnetwork": self.subnetwork})

    def _made(self, wanted: FabricNetwork, cidrs: list[str]) -> tuple[pulumi.Output[str], list[pulumi.Output[str]]]:
        """A network with a subnet of each range: their links."""
        child = pulumi.ResourceOptions(parent=self, ignore_changes=["description"])
        name = f"{self._name}-{wanted.name}"
        profile = f"projects/{self._args['project']}/global/networkProfiles/{wanted.profile}"
        network = Network(
            name,
            name=f"{self._args['cluster']}-{wanted.name}",
            description=self._args["description"],
            auto_create_subnetworks=False,
            routing_mode="REGIONAL",
            mtu=wanted.mtu or None,
            network_profile=profile if wanted.profile else None,
            opts=child,
        )
        links = []
        for number, cidr in enumerate(cidrs):
            suffix = f"-{number}" if len(cidrs) > 1 else ""
            subnet = Subnetwork(
                f"{name}-subnet{suffix}",
                name=f"{self._args['cluster']}-{wanted.name}{suffix}",
                description=self._args["description"],
                network=network.id,
                region=self._args["region"],
                ip_cidr_range=cidr,
                # Buckets are reached without a public address; RoCE subnets reach nothing but each other.
                private_ip_google_access=wanted.name == "main" or None,
                opts=child,
            )
            links.append(subnet.self_link)
        return network.self_link, links
