"""Nodes as data: what clusters of the clouds say of theirs, in labels, taints and what can be had.

Labels and resource names are those that the makers document: NVIDIA's GPU feature discovery (nvidia.com/gpu.product,
.count, .memory), its network operator (rdma/ib), the EFA plugin of AWS (vpc.amazonaws.com/efa, hugepages-2Mi), GKE
(cloud.google.com/gke-accelerator, gke-tpu-accelerator, gke-tpu-topology), AMD's and Neuron's device plugins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

MODE = "lab.skyrig/pods"
"""Annotation of a node: what becomes of its pods. run: their processes run here; pretend: they are said to run;
none: they are bound to the node, and no more."""


@frozen
class NodeShape:
    """One node: `resources` is what it can give; `taints` are (key, value, effect)."""

    name: str
    cpus: int = 8
    memory_gib: int = 32
    resources: Mapping[str, str] = field(factory=dict)
    labels: Mapping[str, str] = field(factory=dict)
    taints: Sequence[tuple[str, str, str]] = ()
    mode: str = "pretend"

    def named(self, name: str, **changes: Any) -> NodeShape:
        """The same with another name, and other fields as given."""
        return evolve(self, name=name, **changes)


def manifest(shape: NodeShape, address: str) -> dict[str, Any]:
    """The Node object, without its status."""
    labels = {
        "kubernetes.io/hostname": shape.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        **shape.labels,
    }
    taints = [{"key": key, "value": value, "effect": effect} for key, value, effect in shape.taints]
    meta = {"name": shape.name, "labels": labels, "annotations": {MODE: shape.mode, "lab.skyrig/address": address}}
    spec = {"providerID": f"lab://{shape.name}", **({"taints": taints} if taints else {})}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec}


def status(shape: NodeShape, address: str, port: int, now: str) -> dict[str, Any]:
    """The status of a node that is ready, whose kubelet listens on `port`."""
    have = {
        "cpu": str(shape.cpus),
        "memory": f"{shape.memory_gib}Gi",
        "ephemeral-storage": "200Gi",
        "pods": "110",
        **shape.resources,
    }
    addresses = [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": shape.name}]
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the lab says so"}
    return {
        "capacity": have,
        "allocatable": have,
        "addresses": addresses,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "conditions": [{**ready, "lastHeartbeatTime": now, "lastTransitionTime": now}],
        "nodeInfo": _INFO,
    }


_INFO = {
    "kubeletVersion": "v1.36.3",
    "architecture": "amd64",
    "operatingSystem": "linux",
    "kernelVersion": "6.1",
    "osImage": "lab",
    "containerRuntimeVersion": "lab://1",
    "kubeProxyVersion": "",
    "machineID": "",
    "systemUUID": "",
    "bootID": "",
}


def gpus(maker: str, product: str, count: int, memory_mib: int) -> dict[str, str]:
    """The labels by which GPU feature discovery tells a node's GPUs."""
    return {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": product,
        "nvidia.com/gpu.count": str(count),
        "nvidia.com/gpu.memory": str(memory_mib),
        "nvidia.com/gpu.family": maker,
        "nvidia.com/gpu.machine": "lab",
    }


_GPU_TAINT = ("nvidia.com/gpu", "present", "NoSchedule")

CPU = NodeShape("cpu", mode="run")
"""A CPU node whose pods run."""

H100 = NodeShape(
    "h100",
    cpus=192,
    memory_gib=2048,
    resources={"nvidia.com/gpu": "8", "rdma/ib": "8"},
    labels={**gpus("hopper", "NVIDIA-H100-80GB-HBM3", 8, 81559), "topology.kubernetes.io/zone": "z1"},
    taints=(_GPU_TAINT,),
)
"""Eight H100 on InfiniBand, as the GPU and network operators set them up."""

EFA = NodeShape(
    "efa",
    cpus=192,
    memory_gib=2048,
    resources={"nvidia.com/gpu": "8", "vpc.amazonaws.com/efa": "32", "hugepages-2Mi": "42242Mi"},
    labels={
        **gpus("hopper", "NVIDIA-H100-80GB-HBM3", 8, 81559),
        "node.kubernetes.io/instance-type": "p5.48xlarge",
        "topology.kubernetes.io/zone": "us-east-1a",
        "topology.kubernetes.io/region": "us-east-1",
    },
    taints=(("nvidia.com/gpu", "true", "NoSchedule"),),
)
"""EKS: p5.48xlarge with 32 EFA devices."""

GKE_H100 = NodeShape(
    "gke-h100",
    cpus=208,
    memory_gib=1872,
    resources={"nvidia.com/gpu": "8"},
    labels={
        "cloud.google.com/gke-accelerator": "nvidia-h100-mega-80gb",
        "cloud.google.com/gke-accelerator-count": "8",
        "cloud.google.com/gke-nodepool": "h100",
        "node.kubernetes.io/instance-type": "a3-megagpu-8g",
        "topology.kubernetes.io/zone": "us-central1-a",
    },
    taints=(_GPU_TAINT,),
)
"""GKE: a3-megagpu-8g, whose labels are Google's own."""

GKE_TPU = NodeShape(
    "gke-tpu",
    cpus=208,
    memory_gib=448,
    resources={"google.com/tpu": "4"},
    labels={
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5p-slice",
        "cloud.google.com/gke-tpu-topology": "2x2x2",
        "cloud.google.com/gke-accelerator-count": "4",
        "cloud.google.com/gke-nodepool": "v5p",
        "node.kubernetes.io/instance-type": "ct5p-hightpu-4t",
        "topology.kubernetes.io/zone": "us-east5-a",
    },
    taints=(("google.com/tpu", "present", "NoSchedule"),),
)
"""GKE: a host of four chips of a TPU v5p slice."""

MI300X = NodeShape(
    "mi300x",
    cpus=96,
    memory_gib=1850,
    resources={"amd.com/gpu": "8", "rdma/ib": "8"},
    labels={
        "amd.com/gpu.product-name": "AMD_Instinct_MI300X_VF",
        "amd.com/gpu.vram": "192G",
        "node.kubernetes.io/instance-type": "Standard_ND96isr_MI300X_v5",
    },
)
"""AKS: eight MI300X, as AMD's node labeller tells them."""

TRN2 = NodeShape(
    "trn2",
    cpus=192,
    memory_gib=2048,
    resources={"aws.amazon.com/neuron": "16", "aws.amazon.com/neuroncore": "128", "vpc.amazonaws.com/efa": "16"},
    labels={"node.kubernetes.io/instance-type": "trn2.48xlarge", "topology.kubernetes.io/zone": "us-east-2a"},
    taints=(("aws.amazon.com/neuron", "true", "NoSchedule"),),
)
"""EKS: trn2.48xlarge."""

NEBIUS_H200 = NodeShape(
    "nebius-h200",
    cpus=128,
    memory_gib=1600,
    resources={"nvidia.com/gpu": "8", "nvidia.com/mlnxnics": "8"},
    labels={**gpus("hopper", "NVIDIA-H200", 8, 143771), "node.kubernetes.io/instance-type": "gpu-h200-sxm"},
)
"""Nebius Managed Kubernetes: eight H200 in a gpu_cluster."""
