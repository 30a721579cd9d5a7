"""The host key of a node, as a resource of its stack."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

from components.keypair import new_key_pair


class HostKeyProvider(ResourceProvider):
    """Makes an ed25519 key pair; it lives in the stack's state and on its node alone."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another node, or another version of it, has another key."""
        return DiffResult(changes=_olds.get("node") != _news.get("node"), replaces=["node"])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """A new key pair."""
        private, public = new_key_pair()
        return CreateResult(props["node"], {**props, "public_key": public, "private_key": private})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What the state says: there is no other place to look."""
        return ReadResult(id_, props)


class HostKey(Resource, module="skyrig", name="HostKey"):
    """Key pair by which a node proves that it is the one that was made. Its private part is the one secret in the
    node's user data."""

    public_key: pulumi.Output[str]
    """Public part, one OpenSSH line without a comment."""

    private_key: pulumi.Output[str]
    """Private part, OpenSSH text; a secret."""

    def __init__(self, name: str, node: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """`node` names the node and its version."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["private_key"])
        props = {"node": node, "public_key": None, "private_key": None}
        super().__init__(HostKeyProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))
