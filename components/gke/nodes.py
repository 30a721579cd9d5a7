"""Nodes of a GKE cluster that have GPUDirect: a network for each of their GPUs' interfaces, close to each other."""

from typing import Any, TypedDict

import pulumi
import pulumi_kubernetes as k8s
from pulumi_gcp.compute.firewall import Firewall
from pulumi_gcp.compute.network import Network
from pulumi_gcp.compute.subnetwork import Subnetwork
from pulumi_gcp.container.node_pool import NodePool

from components.gcp import gpudirect
from components.gke.cluster import node_config
from components.kubernetes.addons import manifests
from components.refuse import refuse
from skyrig.catalog import instances
from skyrig.cluster import machine


class GkeNodesArgs(TypedDict):
    """What a node pool is made from."""

    project: str
    """Project that pays."""
    zone: str
    """Zone of the cluster."""
    cluster: pulumi.Input[str]
    """Id of the cluster."""
    account: pulumi.Input[str]
    """Service account of the nodes."""
    kubeconfig: pulumi.Input[str]
    """The cluster's: the networks have names there too."""
    instance_type: str
    """Type of each node, for instance a3-megagpu-8g."""
    accelerator: str
    """Google Cloud's name of its GPUs, for instance nvidia-h100-mega-80gb."""
    nodes: int
    """How many."""
    capacity: str
    """on-demand, spot or reservation/NAME."""
    labels: dict[str, str]
    """Labels on everything that takes some."""


class GkeNodes(pulumi.ComponentResource):
    """A node pool with the networks that its type's fabric wants, what pods call them by (`vpc1`, or `gvnic-1` and
    `rdma-0`), and the programs of GPUDirect on its nodes."""

    name: pulumi.Output[str]
    """Name of the node pool."""

    def __init__(self, name: str, args: GkeNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("GkeNodes", wrong(args))
        super().__init__("skyrig:index:GkeNodes", name, {}, opts)
        kind, paid = instances.find("gcp", args["instance_type"]), machine.capacity(args["capacity"])
        there = k8s.Provider(f"{name}-cluster", kubeconfig=args["kubeconfig"], opts=pulumi.ResourceOptions(parent=self))
        made = self._networks(name, args, kind)
        for called, (network, subnet, mode) in made.items():
            self._named(f"{name}-{called}", called, network, subnet, mode, there)
        config = node_config(args["instance_type"], args["account"], args["labels"])
        config |= {
            "guest_accelerators": [
                {"type": args["accelerator"], "count": int(kind.accelerator_count),
                 "gpu_driver_installation_config": {"gpu_driver_version": "LATEST"}}
            ],
            "spot": paid.kind == "spot",
            **bought(paid.kind, paid.id),
        }  # fmt: skip
        close = gpudirect.compact(kind, "best", paid.kind)
        pool = NodePool(
            f"{name}-pool",
            project=args["project"],
            cluster=args["cluster"],
            node_count=args["nodes"],
            node_config=config,
            network_config={
                "enable_private_nodes": True,
                "additional_node_network_configs": [
                    {"network": network, "subnetwork": subnet} for network, subnet, _ in made.values()
                ],
            },
            placement_policy={"type": "COMPACT"} if close else None,
            opts=pulumi.ResourceOptions(parent=self),
        )
        for number, url in enumerate(manifests(kind.fabric)):
            placed = pulumi.ResourceOptions(parent=self, provider=there, depends_on=[pool])
            k8s.yaml.v2.ConfigFile(f"{name}-gpudirect-{number}", file=url, opts=placed)
        self.name = pool.name
        self.register_outputs({"name": self.name})

    def _networks(
        self, name: str, args: GkeNodesArgs, kind: instances.InstanceType
    ) -> dict[str, tuple[pulumi.Output[str], pulumi.Output[str], str]]:
        """(network, subnet, mode of its device) by the name that pods call it by, in the order of the interfaces."""
        found: dict[str, tuple[pulumi.Output[str], pulumi.Output[str], str]] = {}
        child, region = pulumi.ResourceOptions(parent=self), args["zone"].rpartition("-")[0]
        wanted = gpudirect.networks(kind, "best", args["zone"])
        has_rdma = any(each.profile for each in wanted)
        for at, each in enumerate(wanted):
            network = Network(
                f"{name}-{each.name}",
                project=args["project"],
                auto_create_subnetworks=False,
                opts=child,
                **({"network_profile": each.profile} if each.profile else {"mtu": each.mtu}),
            )
            for number in range(each.subnets):
                called = f"rdma-{number}" if each.profile else f"gvnic-{at + 1}" if has_rdma else f"vpc{at + 1}"
                subnet = Subnetwork(
                    f"{name}-{called}",
                    project=args["project"],
                    region=region,
                    network=network.id,
                    ip_cidr_range=f"192.168.{16 * len(found)}.0/20",
                    opts=child,
                )
                found[called] = (network.name, subnet.name, "RDMA" if each.profile else "NetDevice")
            if not each.profile:
                self._inside(f"{name}-{each.name}", args["project"], network.id, child)
        return found

    def _inside(self, name: str, project: str, network: pulumi.Output[str], child: pulumi.ResourceOptions) -> None:
        """Nodes say everything to each other there, and nobody else is."""
        Firewall(
            f"{name}-inside",
            project=project,
            network=network,
            allows=[{"protocol": each} for each in ("tcp", "udp", "icmp")],
            source_ranges=["192.168.0.0/16"],
            opts=child,
        )

    def _named(
        self,
        name: str,
        called: str,
        network: pulumi.Output[str],
        subnet: pulumi.Output[str],
        mode: str,
        there: k8s.Provider,
    ) -> None:
        """A network of the VPC as a network of the cluster."""
        placed = pulumi.ResourceOptions(parent=self, provider=there)
        held = k8s.apiextensions.CustomResource(
            f"{name}-params",
            api_version="networking.gke.io/v1",
            kind="GKENetworkParamSet",
            metadata={"name": called},
            spec={"vpc": network, "vpcSubnet": subnet, "deviceMode": mode},
            opts=placed,
        )
        reference = {"group": "networking.gke.io", "kind": "GKENetworkParamSet", "name": called}
        k8s.apiextensions.CustomResource(
            f"{name}-network",
            api_version="networking.gke.io/v1",
            kind="Network",
            metadata={"name": called},
            spec={"type": "Device", "parametersRef": reference},
            opts=pulumi.ResourceOptions(parent=self, provider=there, depends_on=[held]),
        )


def wrong(args: GkeNodesArgs) -> dict[str, str]:
    """What cannot be had, by property path."""
    kind = instances.of_cloud("gcp").get(args["instance_type"])
    if kind is None:
        return {"instance_type": f"{args['instance_type']} is not known"}
    if not gpudirect.active(kind, "best"):
        return {"instance_type": f"{args['instance_type']} has no GPUDirect"}
    return {} if args["nodes"] >= 1 else {"nodes": "at least one"}


def bought(kind: str, name: str) -> dict[str, Any]:
    """What a node pool says of nodes out of a reservation."""
    if kind != "reservation":
        return {}
    key = "compute.googleapis.com/reservation-name"
    affinity = {"consume_reservation_type": "SPECIFIC_RESERVATION", "key": key, "values": [name]}
    return {"reservation_affinity": affinity}
