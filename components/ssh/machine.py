"""One of the user's own machines, lent to a node, as a dynamic resource."""

from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from components.ssh.program import run

_REPLACING = ("stack", "node", "version", "region", "instance_type", "public_key")


class SshMachineArgs(TypedDict):
    """Which machine is wanted, and for whom. Any change of it needs another one, but for the tags."""

    stack: str
    """Name of the stack."""
    node: str
    """Id of the node."""
    version: str
    """Group and version of the node: another version is another machine's, or the same one's, anew."""
    region: str
    """The pool, with `ssh-` before its name."""
    instance_type: str
    """What the machine has at least."""
    is_head: bool
    """Whether it is the head when it is made: machines that are reached without another one are for it first."""
    public_key: pulumi.Input[str]
    """The cluster's key, which is let in."""
    owner: str
    """Who made the cluster; a tag."""
    task: str
    """The task that the cluster was made for; a tag."""
    managed: str
    """The managed job that owns the cluster; a tag."""


class SshMachineProvider(ResourceProvider):
    """Takes, looks at and gives back machines through `python -m skyrig.clouds.ssh`. It holds no fields: the state then
    refers to this class by name instead of holding its code."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """What a machine is wanted for needs another one, taken after the old one is given back: it may be the same."""
        replaces = [key for key in _REPLACING if _olds.get(key) != _news.get(key)]
        tags = any(_olds.get(key) != _news.get(key) for key in ("is_head", "owner", "task", "managed"))
        return DiffResult(changes=bool(replaces) or tags, replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Take the first machine that is free and fit, and make it ready."""
        machine = run("create", props)
        return CreateResult(machine["lease"], {**props, "machine": machine})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """The lease keeps the tags that it was taken with."""
        return UpdateResult({**_news, "machine": _olds["machine"]})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The machine as it is; nothing where it is not lent to this node any more, or is lost."""
        found = run("read", {**props, "machine": props.get("machine"), "id": id_})
        return ReadResult(id_, {**props, "machine": found}) if found else ReadResult(None, {})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Give the machine back."""
        run("delete", {**_props, "machine": _props.get("machine"), "id": _id})


class SshMachine(Resource, module="skyrig", name="SshMachine"):
    """One machine, lent to a node of a stack."""

    machine: pulumi.Output[dict[str, Any]]
    """Its lease, what it has, and how it is reached."""

    def __init__(self, name: str, args: SshMachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(SshMachineProvider(), name, {**args, "machine": None}, opts)
