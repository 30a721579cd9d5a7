"""The run of a gang: what tells the Job of now from those that have ended before."""

import secrets
from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

from components.kubernetes.program import KubernetesError, run
from skyrig.clouds.kubernetes.names import job_name

GONE_S = 90.0
"""How long pods of a Job that was deleted are waited for: they have a grace of 30 s."""


class KubernetesRunArgs(TypedDict):
    """What a run is of."""

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


class KubernetesRunProvider(ResourceProvider):
    """A run is there as long as its Job has not ended: a lost node is seen by this one being gone, and made anew under
    the name of another run. It holds no fields, as all of ours."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Elsewhere it is another one. A gang of several nodes is admitted whole, so its size stays."""
        if olds.get("gang") == news.get("gang") and olds.get("nodes") != news.get("nodes"):
            raise KubernetesError(
                f"{news['gang']}: a queue admits its nodes all or none, so their number stays: `down`, then `up`"
            )
        replaces = [key for key in KubernetesRunArgs.__annotations__ if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(replaces), replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """A run that no Job has a name of yet."""
        token = secrets.token_hex(3)
        return CreateResult(token, {**props, "job": job_name(props["cluster"], props["gang"], token)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Gone, where its Job has ended or lost a pod."""
        place = {key: props[key] for key in ("context", "namespace")}
        ended = run("ended", {**place, "job": props["job"]})["ended"]
        return ReadResult(None, {}) if ended else ReadResult(id_, props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Wait until nothing of its Job, which goes before it, is left."""
        place = {key: props[key] for key in ("context", "namespace")}
        run("gone", {**place, "job": props["job"], "timeout_s": GONE_S}, GONE_S)


class KubernetesRun(Resource, module="skyrig", name="KubernetesRun"):
    """The run of one gang."""

    job: pulumi.Output[str]
    """Name of its Job."""

    def __init__(self, name: str, args: KubernetesRunArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(KubernetesRunProvider(), name, {**args, "job": None}, opts)
