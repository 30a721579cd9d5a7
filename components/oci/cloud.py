"""A cluster on Oracle Cloud: its network, nodes and identity."""

from typing import Any

import pulumi
from pulumi_oci.identity.get_region_subscriptions import get_region_subscriptions_output
from pulumi_oci.provider import Provider

from components.describe import SaidNode, describe
from components.oci import image
from components.oci.firewall import OciFirewall
from components.oci.identity import OciIdentity
from components.oci.machines import OciMachines
from components.oci.network import OciNetwork
from components.oci.wrong import wrong
from components.refuse import refuse
from components.tags import tags
from components.wanted import CloudArgs
from skyrig import places
from skyrig.catalog import egress, instances
from skyrig.clouds.oci import session
from skyrig.clouds.oci.machines import OFF
from skyrig.clouds.oci.names import cluster_name, freeform

CLOUD = "oci"
_PASSED_ON = ("account", "instance_type", "zone", "capacity", "network_tier", "image", "disk_gb", "disk_tier")


class OciCloud(pulumi.ComponentResource):
    """Network, nodes and identity of one stack in one availability domain and compartment. What it makes is made in
    that compartment, but for the dynamic group of its nodes, which is the tenancy's."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("OciCloud", wrong(args))
        super().__init__("skyrig:index:OciCloud", name, {}, opts)
        self._name, self._args, self._machine = name, args, args["machine"]
        self._labels = freeform(tags(args))
        self._cluster = cluster_name(args["stack"])
        self._egress = self._machine["egress"] or egress.default(len(args["nodes"]))
        self._tenancy = session.tenancy()
        provider = Provider(
            f"{name}-provider", region=self._machine["region"], opts=pulumi.ResourceOptions(parent=self)
        )
        child = pulumi.ResourceOptions(parent=self, providers=[provider])
        made = self._nodes(child)
        self._identity(made)
        records = places.records(args["stack"]).as_uri()
        self.description = pulumi.Output.all(args["public_key"], *made.said).apply(
            lambda known: describe(CLOUD, args, [_said(each) for each in known[1:]], known[0], records)
        )
        self.register_outputs({"description": self.description})

    def _nodes(self, opts: pulumi.ResourceOptions) -> OciMachines:
        """Make the nodes, once there are ways in and out."""
        args, machine = self._args, self._machine
        network = OciNetwork(
            f"{self._name}-network",
            {
                "cluster": self._cluster,
                "account": machine["account"],
                "labels": self._labels,
                "nat": self._egress == "nat",
                "adopt": machine["network"],
            },
            opts,
        )
        firewall = self._firewall(network, opts)
        kind = instances.find(CLOUD, machine["instance_type"])
        look = pulumi.InvokeOptions(parent=network)
        group = {
            **{key: machine[key] for key in _PASSED_ON},  # type: ignore[literal-required]
            "cluster": self._cluster,
            "labels": self._labels,
            "image_id": image.found(machine["account"], kind, machine["image"], look),
            "public": network.public,
            "private": network.private,
            "has_names": network.has_names,
            "all_public": self._egress == "public-outbound",
            "nodes_group": firewall.nodes,
            "head_group": firewall.head,
            "authorized_key": args["public_key"],
        }
        after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[network, firewall]))
        return OciMachines(
            f"{self._name}-machines",
            {
                "region": machine["region"],
                "nodes": args["nodes"],
                "power": args["power"],
                "starts": args["starts"],
                "group": group,
            },
            after,
        )

    def _firewall(self, network: OciNetwork, opts: pulumi.ResourceOptions) -> OciFirewall:
        return OciFirewall(
            f"{self._name}-firewall",
            {
                "cluster": self._cluster,
                "account": self._machine["account"],
                "labels": self._labels,
                "vcn": network.vcn,
                "ranges": list(network.ranges),
                "services": network.services,
                "has_services": network.has_names,
                "ssh_from": self._machine["ssh_from"],
                "ports": self._args["ports"],
                "closed": self._egress == "none",
            },
            opts,
        )

    def _identity(self, made: OciMachines) -> OciIdentity:
        """What the nodes may do, written in the tenancy's home region."""
        known = get_region_subscriptions_output(tenancy_id=self._tenancy, opts=pulumi.InvokeOptions(parent=made))
        home = Provider(
            f"{self._name}-home",
            region=known.region_subscriptions.apply(_home),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return OciIdentity(
            f"{self._name}-identity",
            {
                "cluster": self._cluster,
                "account": self._machine["account"],
                "tenancy": self._tenancy,
                "labels": self._labels,
                "machines": made.ids,
                "buckets": [url.rpartition("/")[2] for url in self._machine["reaches"]],
            },
            pulumi.ResourceOptions(parent=self, providers=[home]),
        )


def _home(regions: Any) -> str:
    """The home region among those that a tenancy is subscribed to; "" where nobody was asked."""
    return next((str(each["region_name"]) for each in regions or () if each["is_home_region"]), "")


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
