"""What pods see of GPUs and EFA: the device plugins, as Helm releases."""

from typing import TypedDict

import pulumi
import pulumi_kubernetes as k8s

from components.kubernetes.addons import release

TOLERATED = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


class EksPluginsArgs(TypedDict):
    """What they are made from."""

    kubeconfig: pulumi.Input[str]
    """The cluster's."""
    versions: dict[str, str]
    """Versions of charts by their names, where others are wanted than those of the catalog."""


class EksPlugins(pulumi.ComponentResource):
    """NVIDIA's device plugin and AWS's EFA device plugin, on all nodes that have such devices."""

    def __init__(self, name: str, args: EksPluginsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:EksPlugins", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        there = k8s.Provider(f"{name}-cluster", kubeconfig=args["kubeconfig"], opts=child)
        for chart in ("nvidia-device-plugin", "aws-efa-k8s-device-plugin"):
            placed = pulumi.ResourceOptions(parent=self, provider=there)
            release(f"{name}-{chart}", chart, args["versions"].get(chart, ""), {"tolerations": TOLERATED}, placed)
        self.register_outputs({})
