"""A Slurm cluster as a dynamic resource: what is made of it is our folder there, by jobs; what goes is that folder."""

from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from components.slurm.program import run


class SlurmSiteArgs(TypedDict):
    """Which cluster, and for which stack."""

    stack: str
    """Name of the stack: our folder there is called so."""
    site: str
    """Name of the cluster in the user's config."""
    partition: str
    """Partition that jobs go to which name none; "" is the cluster's own default."""


class SlurmSiteProvider(ResourceProvider):
    """Looks at a cluster through `python -m skyrig.schedulers.slurm`. It holds no fields, as all of ours."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another cluster is another resource; another partition is looked up."""
        replaces = [key for key in ("stack", "site") if _olds.get(key) != _news.get(key)]
        changes = bool(replaces) or _olds.get("partition") != _news.get("partition")
        return DiffResult(changes=changes, replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Look at it."""
        return CreateResult(f"{props['stack']}-{props['site']}", {**props, "found": _look(props)})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Look at it again."""
        return UpdateResult({**_news, "found": _look(_news)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """It as it is now. A login node that does not answer is an error, no sign that it is gone."""
        return ReadResult(id_, {**props, "found": _look(props)})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Take our folder away."""
        run("remove", {"site": _props["site"], "base": f"~/.skyrig/slurm/{_props['stack']}"})


class SlurmSite(Resource, module="skyrig", name="SlurmSite"):
    """One Slurm cluster, as its login node tells of it."""

    found: pulumi.Output[dict[str, Any]]
    """The ways in, the user's key by its file, the partitions."""

    def __init__(self, name: str, args: SlurmSiteArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(SlurmSiteProvider(), name, {**args, "found": None}, opts)


def _look(props: dict[str, Any]) -> dict[str, Any]:
    return run("look", {"site": props["site"], "partition": props["partition"]})
