"""The pods of a cluster as a dynamic resource: that all of them run, and what is known of each."""

from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from components.kubernetes.program import run


class KubernetesPodsArgs(TypedDict):
    """Which pods."""

    context: str
    """Context of the kubeconfig."""
    namespace: str
    """Namespace of the cluster."""
    cluster: str
    """What the names of the cluster's things begin with."""
    jobs: pulumi.Input[dict[str, list[str]]]
    """Node ids by the name of their Job, in the order of its indexes."""
    timeout_s: float
    """How long they may take until all run; below 0: without end."""


class KubernetesPodsProvider(ResourceProvider):
    """Waits for pods through `python -m skyrig.clouds.kubernetes`. It makes nothing, so a create that is tried again
    meets what the first one met. It holds no fields, as all of ours."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another cluster is another resource; other Jobs are waited for, and pods that a refresh has missed."""
        replaces = [key for key in ("context", "namespace", "cluster") if olds.get(key) != news.get(key)]
        missed = any(each.get("phase") != "Running" for each in (olds.get("nodes") or {}).values())
        changes = bool(replaces) or missed or olds.get("jobs") != news.get("jobs")
        return DiffResult(changes=changes, replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait until all run."""
        return CreateResult(f"{props['namespace']}/{props['cluster']}", {**props, "nodes": _waited(props)})

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Wait until those that are wanted now run."""
        return UpdateResult({**news, "nodes": _waited(news)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The pods as they are now."""
        return ReadResult(id_, {**props, "nodes": run("look", _request(props))["nodes"]})


class KubernetesPods(Resource, module="skyrig", name="KubernetesPods"):
    """The pods of one cluster."""

    nodes: pulumi.Output[dict[str, Any]]
    """By node id: `uid`, `name`, `ip`, `machine` (the one that it runs on), `phase` and `selector` of its pod."""

    def __init__(self, name: str, args: KubernetesPodsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(KubernetesPodsProvider(), name, {**args, "nodes": None}, opts)


def _request(props: dict[str, Any]) -> dict[str, Any]:
    return {key: props[key] for key in KubernetesPodsArgs.__annotations__}


def _waited(props: dict[str, Any]) -> Any:
    return run("wait", _request(props), max(float(props["timeout_s"]), 0.0) or 7 * 86400.0)["nodes"]
