"""A cluster on Google Cloud: its networks, identity and nodes."""

from typing import Any

import pulumi
from pulumi_gcp.compute.instance import Instance
from pulumi_gcp.provider import Provider

from components.describe import SaidNode, describe
from components.gcp.balancer import GcpBalancer
from components.gcp.firewall import GcpFirewall
from components.gcp.gateway import GcpGateway
from components.gcp.identity import GcpIdentity
from components.gcp.machines import GcpMachines
from components.gcp.network import GcpNetwork
from components.gcp.slices import GcpSlices
from components.gcp.wrong import wrong
from components.refuse import refuse
from components.tags import tags
from components.wanted import CloudArgs, balanced
from skyrig import places
from skyrig.catalog import egress, instances
from skyrig.clouds.gcp.machines import OFF
from skyrig.clouds.gcp.names import cluster_name, described, labels

CLOUD = "gcp"
_PASSED_ON = ("instance_type", "zone", "capacity", "image")
_PASSED_TO_INSTANCES = ("network_tier", "disk_gb", "disk_tier")


class GcpCloud(pulumi.ComponentResource):
    """Networks, identity and nodes of one stack in one zone of a project. Its provider is bound to that project: no
    other one is ever read or changed."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("GcpCloud", wrong(args))
        super().__init__("skyrig:index:GcpCloud", name, {}, opts)
        self._name, self._args, self._machine = name, args, args["machine"]
        self._labels = labels(tags(args))
        self._named = {"cluster": cluster_name(args["stack"]), "description": described(self._labels)}
        self._egress = self._machine["egress"] or egress.default(len(args["nodes"]))
        provider = Provider(
            f"{name}-provider",
            project=self._machine["account"],
            region=self._machine["region"],
            zone=self._machine["zone"],
            add_pulumi_attribution_label=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        child = pulumi.ResourceOptions(parent=self, providers=[provider])
        network = self._networked(child)
        self._entrance: pulumi.Input[str] = ""
        said = self._nodes(network, self._reached(network, child), self._identity(child), child)
        records = places.records(args["stack"]).as_uri()
        self.description = pulumi.Output.all(args["public_key"], self._entrance, *said).apply(
            lambda known: describe(CLOUD, args, [_said(each) for each in known[2:]], known[0], records, known[1])
        )
        self.register_outputs({"description": self.description})

    def _networked(self, opts: pulumi.ResourceOptions) -> GcpNetwork:
        machine = self._machine
        return GcpNetwork(
            f"{self._name}-network",
            {
                **self._named,  # type: ignore[typeddict-item]
                "project": machine["account"],
                "region": machine["region"],
                "zone": machine["zone"],
                "instance_type": machine["instance_type"],
                "network_tier": machine["network_tier"],
                "adopt": machine["network"],
            },
            opts,
        )

    def _reached(self, network: GcpNetwork, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
        """Make the ways in and out: the firewall, and the NAT gateway where one is wanted. An existing network is taken
        to have its own."""
        firewall = GcpFirewall(
            f"{self._name}-firewall",
            {
                **self._named,  # type: ignore[typeddict-item]
                "network": network.network,
                "fabric_networks": network.fabric_networks,
                "range": network.range,
                "ssh_from": self._machine["ssh_from"],
                "ports": self._args["ports"],
                "closed": self._egress == "none",
            },
            opts,
        )
        if self._egress != "nat" or self._machine["network"]:
            return [firewall]
        gateway = GcpGateway(
            f"{self._name}-gateway",
            {
                **self._named,  # type: ignore[typeddict-item]
                "region": self._machine["region"],
                "network": network.network,
                "subnetwork": network.subnetwork,
            },
            opts,
        )
        return [firewall, gateway]

    def _identity(self, opts: pulumi.ResourceOptions) -> GcpIdentity:
        return GcpIdentity(
            f"{self._name}-identity",
            {
                **self._named,  # type: ignore[typeddict-item]
                "project": self._machine["account"],
                "zone": self._machine["zone"],
                "ends_itself": not self._is_tpu,
                "buckets": [url.removeprefix("gs://") for url in self._machine["reaches"]],
            },
            opts,
        )

    @property
    def _is_tpu(self) -> bool:
        return instances.find(CLOUD, self._machine["instance_type"]).fabric == "tpu-ici"

    def _nodes(
        self, network: GcpNetwork, ways: list[pulumi.Resource], identity: GcpIdentity, opts: pulumi.ResourceOptions
    ) -> list[pulumi.Output[dict[str, Any]]]:
        """Make the nodes, once there are ways in and out; what is known of each, in rank order."""
        args, machine = self._args, dict(self._machine)
        after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=ways))
        group = {
            **{key: machine[key] for key in _PASSED_ON},
            "cluster": self._named["cluster"],
            "labels": self._labels,
            "subnetwork": network.subnetwork,
            "email": identity.email,
            "authorized_key": args["public_key"],
            "public": self._egress == "public-outbound",
        }
        if self._is_tpu:
            slices = {**group, "network": network.network}
            return GcpSlices(f"{self._name}-slices", {"nodes": args["nodes"], "group": slices}, after).said
        machines = {**group, **{key: machine[key] for key in _PASSED_TO_INSTANCES}, "fabric": network.fabric}
        made = GcpMachines(
            f"{self._name}-machines",
            {
                "project": self._machine["account"],
                "region": self._machine["region"],
                "nodes": args["nodes"],
                "power": args["power"],
                "starts": args["starts"],
                "group": machines,
            },
            after,
        )
        if balanced(args):
            self._entrance = self._balanced(made.head, after)
        return made.said

    def _balanced(self, head: Instance, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
        """Make the balancer: its address."""
        return GcpBalancer(
            f"{self._name}-balancer",
            {
                **self._named,  # type: ignore[typeddict-item]
                "labels": self._labels,
                "region": self._machine["region"],
                "zone": self._machine["zone"],
                "head": head.self_link,
                "head_id": head.instance_id,
                "ports": balanced(self._args),
            },
            opts,
        ).address


def _said(known: dict[str, Any]) -> SaidNode:
    """What is known of a node, as the description wants it."""
    return {
        "id": known["id"],
        "machine": known["machine"],
        "boot": known["power"]["started"],
        "public": known["public"],
        "private": known["private"],
        "host_key": known["host_key"],
        "power": "stopped" if known["power"]["status"] in OFF else "up",
    }
