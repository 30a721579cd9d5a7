"""A GKE cluster whose nodes can have several networks: private, with its own VPC, a way out, and a system pool."""

from typing import TypedDict

import pulumi
from pulumi_gcp.compute.network import Network
from pulumi_gcp.compute.router import Router
from pulumi_gcp.compute.router_nat import RouterNat
from pulumi_gcp.compute.subnetwork import Subnetwork
from pulumi_gcp.container.cluster import Cluster
from pulumi_gcp.container.node_pool import NodePool
from pulumi_gcp.projects.iam_member import IAMMember
from pulumi_gcp.serviceaccount.account import Account

from components.kubernetes.kubeconfig import kubeconfig
from components.refuse import refuse

ROLES = ("roles/container.defaultNodeServiceAccount", "roles/artifactregistry.reader")
"""What nodes may do: write logs and metrics, and pull images."""


class GkeClusterArgs(TypedDict):
    """What a cluster is made from."""

    project: str
    """Project that pays."""
    zone: str
    """Zone of the cluster and of its nodes."""
    channel: str
    """Release channel: RAPID, REGULAR or STABLE."""
    mtu: int
    """MTU of its own network in bytes; 8244 beside GPUDirect-TCPX and TCPXO, 8896 beside RDMA."""
    open_to: list[str]
    """Networks (CIDR) from which the API server is reached; none: from the VPC alone."""
    system_type: str
    """Type of the two nodes for what the cluster itself runs, for instance e2-standard-4."""
    labels: dict[str, str]
    """Labels on everything that takes some."""


class GkeCluster(pulumi.ComponentResource):
    """A private zonal cluster with multi-networking and Dataplane V2, which GPUDirect wants."""

    cluster_id: pulumi.Output[str]
    """Id of the cluster, for its node pools."""

    network: pulumi.Output[str]
    """Its own network."""

    account: pulumi.Output[str]
    """Service account of its nodes, which has the rights that they need."""

    kubeconfig: pulumi.Output[str]
    """A kubeconfig whose context has the component's name and whose credentials come from gke-gcloud-auth-plugin; a
    secret."""

    def __init__(self, name: str, args: GkeClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("GkeCluster", wrong(args))
        super().__init__("skyrig:index:GkeCluster", name, {}, opts)
        child, project = pulumi.ResourceOptions(parent=self), args["project"]
        self.network, subnet = self._network(name, args, child)
        account = Account(f"{name}-nodes", account_id=f"{name}-nodes"[:30], project=project, opts=child)
        held = [
            IAMMember(
                f"{name}-{role.rpartition('/')[2]}", project=project, role=role, member=account.member, opts=child
            ).id
            for role in ROLES
        ]
        self.account = pulumi.Output.all(account.email, *held).apply(lambda each: str(each[0]))
        cluster = Cluster(
            name,
            project=project,
            location=args["zone"],
            network=self.network,
            subnetwork=subnet,
            release_channel={"channel": args["channel"]},
            datapath_provider="ADVANCED_DATAPATH",
            enable_multi_networking=True,
            ip_allocation_policy={},
            private_cluster_config={"enable_private_nodes": True, "enable_private_endpoint": not args["open_to"]},
            master_authorized_networks_config={"cidr_blocks": [{"cidr_block": each} for each in args["open_to"]]},
            workload_identity_config={"workload_pool": f"{project}.svc.id.goog"},
            enable_shielded_nodes=True,
            initial_node_count=1,
            remove_default_node_pool=True,
            node_config={"service_account": self.account},
            deletion_protection=False,
            resource_labels=args["labels"],
            opts=child,
        )
        NodePool(
            f"{name}-system",
            cluster=cluster.id,
            node_count=2,
            node_config=node_config(args["system_type"], self.account, args["labels"]),
            opts=child,
        )
        self.cluster_id = cluster.id
        said = pulumi.Output.all(cluster.endpoint, cluster.master_auth.cluster_ca_certificate)
        self.kubeconfig = pulumi.Output.secret(said.apply(lambda each: _kubeconfig(name, *each)))
        self.register_outputs({"cluster_id": self.cluster_id, "kubeconfig": self.kubeconfig})

    def _network(
        self, name: str, args: GkeClusterArgs, child: pulumi.ResourceOptions
    ) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """The cluster's own network and subnet, with a way out that nobody comes in by."""
        project, region = args["project"], args["zone"].rpartition("-")[0]
        network = Network(f"{name}-net", project=project, auto_create_subnetworks=False, mtu=args["mtu"], opts=child)
        subnet = Subnetwork(
            f"{name}-subnet",
            project=project,
            region=region,
            network=network.id,
            ip_cidr_range="10.44.0.0/20",
            private_ip_google_access=True,
            opts=child,
        )
        router = Router(f"{name}-router", project=project, region=region, network=network.id, opts=child)
        RouterNat(
            f"{name}-nat",
            project=project,
            region=region,
            router=router.name,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
            opts=child,
        )
        return network.id, subnet.id


def node_config(kind: str, account: pulumi.Input[str], labels: dict[str, str]) -> dict[str, object]:
    """What nodes of all pools are: their own account, gVNIC, no way to the account of the project's metadata."""
    return {
        "machine_type": kind,
        "service_account": account,
        "oauth_scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        "workload_metadata_config": {"mode": "GKE_METADATA"},
        "shielded_instance_config": {"enable_integrity_monitoring": True},
        "gvnic": {"enabled": True},
        "resource_labels": labels,
    }


def wrong(args: GkeClusterArgs) -> dict[str, str]:
    """What cannot be had, by property path."""
    if "0.0.0.0/0" in args["open_to"]:
        return {"open_to": "an API server that is open to everybody; name the networks that use it"}
    return {}


def _kubeconfig(context: str, endpoint: str, authority: str) -> str:
    return kubeconfig(context, f"https://{endpoint}", authority, "gke-gcloud-auth-plugin", [])
