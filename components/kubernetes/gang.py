"""One gang of nodes: their host keys, and the Job that runs them."""

from typing import Any, TypedDict

import pulumi
from pulumi_kubernetes.batch.v1 import Job
from pulumi_kubernetes.core.v1 import Secret

from components.hostkey import HostKey
from components.kubernetes.run import KubernetesRun
from skyrig.clouds.kubernetes.names import NODE, secret_name


class KubernetesGangArgs(TypedDict):
    """What a gang is made from."""

    context: str
    """Context of the kubeconfig."""
    namespace: str
    """Namespace of the cluster."""
    cluster: str
    """What the names of the cluster's things begin with."""
    gang: str
    """Name of the gang, within the cluster."""
    nodes: list[str]
    """Ids of its nodes, in the order of their indexes."""
    labels: dict[str, str]
    """Labels of all of it."""
    annotations: dict[str, str]
    """Annotations of all of it."""
    queue: dict[str, str]
    """Labels by which a queue admits the Job; none where none does."""
    template: dict[str, Any]
    """The template of its pods."""


class KubernetesGang(pulumi.ComponentResource):
    """A Job with as many pods as it has nodes. A pod that is lost ends the Job: no other one comes in its place under a
    running job without anybody's saying so."""

    job: pulumi.Output[str]
    """Name of the Job."""

    host_keys: dict[str, pulumi.Output[str]]
    """Public host key by node id."""

    def __init__(
        self, name: str, args: KubernetesGangArgs, ground: pulumi.Resource, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("skyrig:index:KubernetesGang", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        keys = {node: HostKey(f"{name}-{node}-host", f"{name}-{node}", child) for node in args["nodes"]}
        private = {f"host-{index}": keys[node].private_key for index, node in enumerate(args["nodes"])}
        labels = {**args["labels"], **({NODE: args["nodes"][0]} if len(args["nodes"]) == 1 else {})}
        named = {"namespace": args["namespace"], "annotations": args["annotations"], "labels": labels}
        secret = Secret(
            f"{name}-keys",
            metadata={**named, "name": secret_name(args["cluster"], args["gang"])},
            string_data=pulumi.Output.secret(private),
            opts=child,
        )
        run = KubernetesRun(
            f"{name}-run",
            {
                "context": args["context"],
                "namespace": args["namespace"],
                "cluster": args["cluster"],
                "gang": args["gang"],
                "nodes": args["nodes"],
            },
            child,
        )
        Job(
            f"{name}-job",
            metadata={
                **named,
                "name": run.job,
                "labels": {**labels, **args["queue"]},
                "annotations": {**args["annotations"], "pulumi.com/skipAwait": "true"},
            },
            spec=spec(args),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[secret, ground], delete_before_replace=True),
        )
        self.job = run.job
        self.host_keys = {node: key.public_key for node, key in keys.items()}
        self.register_outputs({"job": self.job})


def spec(args: KubernetesGangArgs) -> dict[str, Any]:
    """The Job: a pod that fails or is taken away ends it, and it stays then, with what the pods last said."""
    count = len(args["nodes"])
    template, own = args["template"], {NODE: args["nodes"][0]} if count == 1 else {}
    meta = {**template["metadata"], "labels": {**template["metadata"]["labels"], **own}}
    return {
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": count,
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "template": {**template, "metadata": meta},
    }
