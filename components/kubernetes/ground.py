"""What the pods of a cluster have in common: who they are, what reaches them, what they run first, and their names."""

from typing import Any, TypedDict

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap, Service, ServiceAccount
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from skyrig import places
from skyrig.clouds.kubernetes.names import CLUSTER
from skyrig.clouds.kubernetes.podspec import PORT

START = places.shipped() / "templates" / "kubernetes" / "start.sh"


class KubernetesGroundArgs(TypedDict):
    """What it is made from."""

    cluster: str
    """Name of all of it."""
    namespace: str
    """Namespace of the cluster."""
    labels: dict[str, str]
    """Labels of all of it."""
    annotations: dict[str, str]
    """Annotations of all of it."""
    authorized_key: pulumi.Input[str]
    """Public key that may log in."""
    ports: list[int]
    """Ports that anybody may reach."""
    closed: bool
    """Whether the pods reach each other alone."""


class KubernetesGround(pulumi.ComponentResource):
    """A service account without rights, the rules of the network, a headless service, and the program of the pods."""

    def __init__(self, name: str, args: KubernetesGroundArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:KubernetesGround", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        named: dict[str, Any] = {
            "name": args["cluster"],
            "namespace": args["namespace"],
            "labels": args["labels"],
            "annotations": args["annotations"],
        }
        own = {CLUSTER: args["cluster"]}
        awaited = {**named, "annotations": {**args["annotations"], "pulumi.com/skipAwait": "true"}}
        ServiceAccount(f"{name}-account", metadata=named, automount_service_account_token=False, opts=child)
        NetworkPolicy(
            f"{name}-policy", metadata=named, spec=policy(own, args["ports"], closed=args["closed"]), opts=child
        )
        Service(
            f"{name}-service",
            metadata=awaited,
            spec={
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": own,
                "ports": [{"name": "ssh", "port": PORT, "protocol": "TCP", "targetPort": PORT}],
            },
            opts=child,
        )
        ConfigMap(
            f"{name}-boot",
            metadata=named,
            data={
                "start.sh": START.read_text(encoding="utf-8"),
                "authorized_keys": pulumi.Output.concat(args["authorized_key"], "\n"),
            },
            opts=child,
        )
        self.register_outputs({})


def policy(own: dict[str, str], ports: list[int], *, closed: bool) -> dict[str, Any]:
    """Pods reach each other; others reach open `ports` alone. A forwarded port comes from the pod's own machine, which
    no policy bars."""
    peers = [{"podSelector": {"matchLabels": own}}]
    ingress: list[dict[str, Any]] = [{"from": peers}]
    if ports:
        ingress.append({"ports": [{"port": port, "protocol": "TCP"} for port in ports]})
    dns = {"ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]}
    spec: dict[str, Any] = {"podSelector": {"matchLabels": own}, "policyTypes": ["Ingress"], "ingress": ingress}
    return {**spec, "policyTypes": ["Ingress", "Egress"], "egress": [{"to": peers}, dns]} if closed else spec
