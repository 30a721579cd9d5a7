"""A cluster of pods, in one namespace that a context of the kubeconfig leads to."""

import sys
from typing import Any

import pulumi
from pulumi_kubernetes.provider import Provider

from components.describe import SaidNode, describe
from components.kubernetes.gang import KubernetesGang
from components.kubernetes.ground import KubernetesGround
from components.kubernetes.pods import KubernetesPods
from components.kubernetes.wrong import wrong
from components.refuse import refuse
from components.tags import tags
from components.wanted import CloudArgs
from skyrig import places
from skyrig.catalog import fabrics, facts
from skyrig.clouds.kubernetes import podspec
from skyrig.clouds.kubernetes.gangs import Gang, WantedNode, gangs
from skyrig.clouds.kubernetes.names import CLUSTER, cluster_name, labels, secret_name
from skyrig.clouds.kubernetes.podspec import CLOUD, PORT, USER, Asked, Pod
from skyrig.cluster import ports as port_ranges


class KubernetesCloud(pulumi.ComponentResource):
    """The pods of one stack. Its provider is bound to context and namespace: nothing else is read or changed."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("KubernetesCloud", wrong(args))
        super().__init__("skyrig:index:KubernetesCloud", name, {}, opts)
        self._name, self._args, self._machine = name, args, args["machine"]
        self._asked = podspec.asked_of(self._machine.get("pods") or "")
        self._namespace = self._machine["account"].partition(".")[0]
        self._cluster = cluster_name(args["stack"])
        self._labels = {**labels(tags(args)), CLUSTER: self._cluster, "app.kubernetes.io/managed-by": "skyrig"}
        self._annotations = {f"skyrig/{key.removeprefix('skyrig-')}": text for key, text in sorted(tags(args).items())}
        context = self._machine["region"]
        provider = Provider(
            f"{name}-provider",
            context=context,
            namespace=self._namespace,
            opts=pulumi.ResourceOptions(parent=self),
        )
        child = pulumi.ResourceOptions(parent=self, providers=[provider])
        ground = KubernetesGround(
            f"{name}-ground",
            {
                "cluster": self._cluster,
                "namespace": self._namespace,
                "labels": self._labels,
                "annotations": self._annotations,
                "authorized_key": args["public_key"],
                "ports": port_ranges.numbers(args["ports"]),
                "closed": self._machine["egress"] == "none",
            },
            child,
        )
        wanted = [WantedNode(node["id"], node["group"], node["version"]) for node in args["nodes"]]
        made = {gang: self._gang(gang, ground, child) for gang in gangs(wanted, self._asked.queue)}
        pods = KubernetesPods(
            f"{name}-pods",
            {
                "context": context,
                "namespace": self._namespace,
                "cluster": self._cluster,
                "jobs": _jobs(made),
                "timeout_s": self._asked.timeout_s,
            },
            pulumi.ResourceOptions(parent=self, depends_on=list(made.values())),
        )
        keys = {node: key for each in made.values() for node, key in each.host_keys.items()}
        self.description = pulumi.Output.all(args["public_key"], pods.nodes, keys).apply(
            lambda known: self._described(*known)
        )
        self.register_outputs({"description": self.description})

    def _gang(self, gang: Gang, ground: KubernetesGround, opts: pulumi.ResourceOptions) -> KubernetesGang:
        machine = self._machine
        pod = Pod(
            cluster=self._cluster,
            size=podspec.size_of(machine["instance_type"]),
            asked=self._asked,
            image=machine["image"].removeprefix("docker:"),
            labels=self._labels,
            annotations=self._annotations,
            host_keys=secret_name(self._cluster, gang.name),
            network_tier=machine["network_tier"],
        )
        return KubernetesGang(
            f"{self._name}-{gang.name}",
            {
                "context": machine["region"],
                "namespace": self._namespace,
                "cluster": self._cluster,
                "gang": gang.name,
                "nodes": list(gang.nodes),
                "labels": self._labels,
                "annotations": self._annotations,
                "queue": {podspec.QUEUE: self._asked.queue} if self._asked.queue else {},
                "template": podspec.template(pod),
            },
            ground,
            opts,
        )

    def _described(self, public_key: str, pods: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
        args = self._args
        place = (self._machine["region"], self._namespace)
        head = args["nodes"][0]["id"]
        said = [_said(node["id"], pods[node["id"]], keys[node["id"]], place, head) for node in args["nodes"]]
        records = places.records(args["stack"]).as_uri()
        described = describe(CLOUD, args, said, public_key, records)
        if self._machine["network_tier"] == "best":
            described["fabric"] = _fabric(self._asked)
        for node in described["nodes"]:
            node["internal_port"] = PORT
        return described


def _jobs(made: dict[Gang, KubernetesGang]) -> pulumi.Output[dict[str, list[str]]]:
    ids = [list(gang.nodes) for gang in made]
    jobs = pulumi.Output.all(*(each.job for each in made.values()))
    return jobs.apply(lambda names: dict(zip(names, ids, strict=True)))


def _fabric(asked: Asked) -> dict[str, Any]:
    kind = facts.of(CLOUD, "fabric").get(asked.fabric, {}).get("kind", asked.fabric) or "none"
    return {"kind": kind, "env": fabrics.env(CLOUD, asked.fabric, asked.devices)}


def _said(node: str, pod: dict[str, Any], host_key: str, place: tuple[str, str], head: str) -> SaidNode:
    """What is known of a node. The head is reached by a port that the API forwards, others through it."""
    said: SaidNode = {
        "id": node,
        "machine": pod["uid"],
        "boot": "",
        "public": "",
        "private": pod["ip"],
        "host_key": host_key,
        "power": "up",
        "user": USER,
        "port": PORT,
    }
    if node != head:
        return said
    words = [sys.executable, "-I", "-m", "skyrig.clouds.kubernetes.forward", *place, pod["selector"], str(PORT)]
    return {**said, "proxy": words}
