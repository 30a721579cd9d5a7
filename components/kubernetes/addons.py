"""What goes onto a Kubernetes cluster for GPUs and fast networks: charts and manifests of the catalog."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from skyrig.catalog import facts

NAMESPACE = "kube-system"


def release(
    name: str,
    chart: str,
    version: str,
    values: Mapping[str, Any],
    opts: pulumi.ResourceOptions,
    namespace: str = NAMESPACE,
) -> k8s.helm.v3.Release:
    """A chart of the catalog as a release; `version` "" is the catalog's, and where that says none the newest."""
    said = facts.of("kubernetes", "addons")["charts"][chart]
    return k8s.helm.v3.Release(
        name,
        chart=chart,
        version=version or said["version"] or None,
        repository_opts={"repo": said["repository"]},
        namespace=namespace,
        create_namespace=namespace != NAMESPACE,
        values=dict(values),
        opts=opts,
    )


def manifests(fabric: str) -> Sequence[str]:
    """Urls of what GPUDirect wants on a GKE cluster; none for other networks."""
    said = facts.of("kubernetes", "addons")["gke"]
    return [f"{said['base']}/{path}" for path in said.get(fabric, ())]
