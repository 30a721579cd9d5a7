"""The queue of a Kubernetes cluster as a dynamic resource: what is made of it is a ledger there, and jobs; all
goes with it."""

from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from components.asked import answer
from skyrig.errors import SkyrigError

_LIMIT_S = 180.0


class KubernetesQueueError(SkyrigError):
    """A cluster's API server, or the user's kubeconfig, has said no."""


class KubernetesQueueArgs(TypedDict):
    """Which cluster, and for which stack."""

    stack: str
    """Name of the stack: what is made there is called so."""
    owner: str
    """Whose it is; a label."""
    context: str
    """The context of the user's kubeconfig."""
    namespace: str
    """Namespace of the jobs; "" is the context's own."""


class KubernetesQueueProvider(ResourceProvider):
    """Looks at a cluster through `python -m skyrig.schedulers.kubernetes`. It holds no fields, as all of ours."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another cluster, or another place on it, is another resource."""
        replaces = [key for key in ("stack", "context", "namespace") if _olds.get(key) != _news.get(key)]
        changes = bool(replaces) or _olds.get("owner") != _news.get("owner")
        return DiffResult(changes=changes, replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Look at it; the ledger that is there already, after a break, is taken over."""
        return CreateResult(f"{props['stack']}-{props['context']}", {**props, "found": _look(props)})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Look at it again."""
        return UpdateResult({**_news, "found": _look(_news)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """It as it is now. A server that does not answer is an error, no sign that it is gone."""
        return ReadResult(id_, {**props, "found": _look(props)})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Take all of the stack's jobs and its ledger away."""
        _run("remove", {**_request(_props), "namespace": _props["found"]["namespace"]})


class KubernetesQueue(Resource, module="skyrig", name="KubernetesQueue"):
    """One cluster's queue, as its API server tells of it."""

    found: pulumi.Output[dict[str, Any]]
    """The server, the namespace, the queues of Kueue, the nodes by kind."""

    def __init__(self, name: str, args: KubernetesQueueArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(KubernetesQueueProvider(), name, {**args, "found": None}, opts)


def _look(props: dict[str, Any]) -> dict[str, Any]:
    return _run("look", _request(props))


def _request(props: dict[str, Any]) -> dict[str, Any]:
    return {key: props[key] for key in ("stack", "owner", "context", "namespace")}


def _run(verb: str, request: dict[str, Any]) -> dict[str, Any]:
    module = "skyrig.schedulers.kubernetes"
    return answer(module, verb, request, limit_s=_LIMIT_S, what="kubernetes", error=KubernetesQueueError)
