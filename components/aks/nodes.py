"""Nodes of an AKS cluster that have GPUs and InfiniBand, and what shows both to pods."""

from typing import Any, TypedDict

import pulumi
import pulumi_azure_native as azure
import pulumi_kubernetes as k8s

from components.kubernetes.addons import release
from components.refuse import refuse
from skyrig.catalog import facts, instances

RESOURCE = "ib"
"""Pods ask for InfiniBand as rdma/ib."""

_MELLANOX = "15b3"
_BLACKLIST = "/host/etc/modprobe.d/blacklist-ofed-modules.conf"


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
        placed = pulumi.ResourceOptions(parent=self, provider=there, depends_on=[pool])
        self._operators(name, args, placed, infiniband=kind.fabric == "infiniband")
        self.name = pool.name
        self.register_outputs({"name": self.name})

    def _operators(self, name: str, args: AksNodesArgs, placed: pulumi.ResourceOptions, *, infiniband: bool) -> None:
        """The network's driver and devices first: the GPU's driver is built against them."""
        versions, tolerated = args["versions"], tolerations(spot=args["spot"])
        after = self._infiniband(name, versions.get("network-operator", ""), tolerated, placed) if infiniband else []
        values: dict[str, Any] = {
            "nfd": {"enabled": not infiniband},
            "driver": {"rdma": {"enabled": infiniband}},
            "daemonsets": {"tolerations": tolerated},
        }
        if not infiniband:
            values["node-feature-discovery"] = {"worker": {"tolerations": tolerated}}
        release(
            f"{name}-gpu-operator",
            "gpu-operator",
            versions.get("gpu-operator", ""),
            values,
            pulumi.ResourceOptions.merge(placed, pulumi.ResourceOptions(depends_on=after)),
            "gpu-operator",
        )

    def _infiniband(
        self, name: str, version: str, tolerated: list[dict[str, str]], placed: pulumi.ResourceOptions
    ) -> list[pulumi.Resource]:
        """The network operator, which nodes have InfiniBand, and what is to be on these."""
        operator = release(
            f"{name}-network-operator",
            "network-operator",
            version,
            {
                "nfd": {"enabled": True, "deployNodeFeatureRules": False},
                "node-feature-discovery": {"worker": {"tolerations": tolerated}},
            },
            placed,
            "network-operator",
        )
        then = pulumi.ResourceOptions.merge(placed, pulumi.ResourceOptions(depends_on=[operator]))
        cards = k8s.apiextensions.CustomResource(
            f"{name}-cards",
            api_version="nfd.k8s-sigs.io/v1alpha1",
            kind="NodeFeatureRule",
            metadata={"name": "infiniband"},
            spec=cards_rule(),
            opts=then,
        )
        policy = k8s.apiextensions.CustomResource(
            f"{name}-infiniband",
            api_version="mellanox.com/v1alpha1",
            kind="NicClusterPolicy",
            metadata={"name": "nic-cluster-policy"},
            spec=nic_policy(tolerated),
            opts=then,
        )
        return [cards, policy]


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


def tolerations(*, spot: bool) -> list[dict[str, str]]:
    """Taints of the pool: ours, and the one that AKS gives to nodes that it may take back."""
    ours = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    theirs = {"key": "kubernetes.azure.com/scalesetpriority", "operator": "Exists", "effect": "NoSchedule"}
    return [ours, theirs] if spot else [ours]


def cards_rule() -> dict[str, Any]:
    """Which nodes have InfiniBand: those with such a card. The network operator's own rule takes any card of the same
    maker, which nodes with accelerated networking have too."""
    said = facts.of("kubernetes", "addons")["infiniband"]
    card = {"device": {"op": "In", "value": said["azure_cards"]}}
    rule = {"name": "infiniband", "labels": {said["label"]: "true"}}
    return {"rules": [{**rule, "matchFeatures": [{"feature": "pci.device", "matchExpressions": card}]}]}


def nic_policy(tolerated: list[dict[str, str]]) -> dict[str, Any]:
    """What nodes with InfiniBand get: the driver, which the GPU's driver waits for, and the devices for pods."""
    said = facts.of("kubernetes", "addons")["infiniband"]
    labelled = {"matchExpressions": [{"key": said["label"], "operator": "In", "values": ["true"]}]}
    return {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [labelled]}},
        "tolerations": tolerated,
        "ofedDriver": {
            **said["driver"],
            "env": [{"name": "OFED_BLACKLIST_MODULES_FILE", "value": _BLACKLIST}],
            "startupProbe": {"initialDelaySeconds": 10, "periodSeconds": 20},
            "livenessProbe": {"initialDelaySeconds": 30, "periodSeconds": 30},
            "readinessProbe": {"initialDelaySeconds": 10, "periodSeconds": 30},
        },
        "rdmaSharedDevicePlugin": {**said["devices"], "config": shared_devices()},
    }


def shared_devices() -> str:
    """The config of the RDMA shared device plugin: all InfiniBand cards of a node as one resource that pods share."""
    selectors = f'{{"vendors": ["{_MELLANOX}"], "linkTypes": ["infiniband"]}}'
    return f'{{"configList": [{{"resourceName": "{RESOURCE}", "rdmaHcaMax": 63, "selectors": {selectors}}}]}}'
