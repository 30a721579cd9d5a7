"""Nodes of an AKS cluster that have GPUs and InfiniBand, and what shows both to pods."""

from typing import TypedDict

import pulumi
import pulumi_azure_native as azure
import pulumi_kubernetes as k8s

from components.kubernetes.addons import release
from components.refuse import refuse
from skyrig.catalog import instances

RESOURCE = "ib"
"""Pods ask for InfiniBand as rdma/ib."""

_MELLANOX = "15b3"


class AksNodesArgs(TypedDict):
    """What a node pool is made from."""

    group: pulumi.Input[str]
    """Resource group."""
    cluster: pulumi.Input[str]
    """Name of the cluster."""
    kubeconfig: pulumi.Input[str]
    """The cluster's."""
    instance_type: str
    """Size of each node, for instance Standard_ND96isr_H100_v5."""
    nodes: int
    """How many."""
    spot: bool
    """Whether Azure may take them back."""
    versions: dict[str, str]
    """Versions of charts by their names, where others are wanted than those of the catalog."""
    tags: dict[str, str]
    """Tags on everything that takes some."""


class AksNodes(pulumi.ComponentResource):
    """A node pool without AKS's own GPU driver; NVIDIA's network operator and GPU operator bring the drivers, in that
    order, and nodes say `nvidia.com/gpu` and `rdma/ib`. All of a pool are on one InfiniBand network where the
    subscription has the feature AKSInfinibandSupport."""

    name: pulumi.Output[str]
    """Name of the node pool."""

    def __init__(self, name: str, args: AksNodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("AksNodes", wrong(args))
        super().__init__("skyrig:index:AksNodes", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        kind = instances.find("azure", args["instance_type"])
        spot = {"scale_set_priority": "Spot", "scale_set_eviction_policy": "Delete", "spot_max_price": -1.0}
        pool = azure.containerservice.AgentPool(
            f"{name}-pool",
            agent_pool_name=pool_name(name),
            resource_group_name=args["group"],
            resource_name_=args["cluster"],
            mode="User",
            count=args["nodes"],
            vm_size=args["instance_type"],
            os_type="Linux",
            os_sku="Ubuntu",
            type="VirtualMachineScaleSets",
            gpu_profile={"driver": "None"},
            node_taints=["nvidia.com/gpu=present:NoSchedule"],
            node_labels={"skypilot.co/accelerator": kind.accelerator.lower()},
            tags=args["tags"],
            opts=child,
            **(spot if args["spot"] else {}),
        )
        there = k8s.Provider(f"{name}-cluster", kubeconfig=args["kubeconfig"], opts=child)
        self._operators(name, args["versions"], there, pool, infiniband=kind.fabric == "infiniband")
        self.name = pool.name
        self.register_outputs({"name": self.name})

    def _operators(
        self, name: str, versions: dict[str, str], there: k8s.Provider, pool: pulumi.Resource, *, infiniband: bool
    ) -> None:
        """The network's driver and devices first: the GPU's driver is built against them."""
        after: list[pulumi.Resource] = [pool]
        tolerated = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
        if infiniband:
            network = release(
                f"{name}-network-operator",
                "network-operator",
                versions.get("network-operator", ""),
                {"nfd": {"enabled": True}},
                pulumi.ResourceOptions(parent=self, provider=there, depends_on=after),
                "network-operator",
            )
            after = [
                k8s.apiextensions.CustomResource(
                    f"{name}-infiniband",
                    api_version="mellanox.com/v1alpha1",
                    kind="NicClusterPolicy",
                    metadata={"name": "nic-cluster-policy"},
                    spec={"tolerations": tolerated, "rdmaSharedDevicePlugin": {"config": shared_devices()}},
                    opts=pulumi.ResourceOptions(parent=self, provider=there, depends_on=[network]),
                )
            ]
        release(
            f"{name}-gpu-operator",
            "gpu-operator",
            versions.get("gpu-operator", ""),
            {"nfd": {"enabled": not infiniband}, "driver": {"rdma": {"enabled": infiniband}}},
            pulumi.ResourceOptions(parent=self, provider=there, depends_on=after),
            "gpu-operator",
        )


def wrong(args: AksNodesArgs) -> dict[str, str]:
    """What cannot be had, by property path."""
    kind = instances.of_cloud("azure").get(args["instance_type"])
    if kind is None or not kind.accelerator_count:
        return {"instance_type": f"{args['instance_type']} is no size with GPUs that is known"}
    return {} if args["nodes"] >= 1 else {"nodes": "at least one"}


def pool_name(name: str) -> str:
    """A name as AKS takes it for a pool of Linux nodes: 12 small letters and digits, a letter first."""
    plain = "".join(each for each in name.lower() if each.isalnum() and each.isascii())
    return f"p{plain}"[:12] if not plain[:1].isalpha() else plain[:12]


def shared_devices() -> str:
    """The config of the RDMA shared device plugin: all InfiniBand cards of a node as one resource that pods share."""
    selectors = f'{{"vendors": ["{_MELLANOX}"], "linkTypes": ["infiniband"]}}'
    return f'{{"configList": [{{"resourceName": "{RESOURCE}", "rdmaHcaMax": 63, "selectors": {selectors}}}]}}'
