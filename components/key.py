"""The client's key pair of a cluster, as a resource of its stack."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, ResourceProvider

from components.keypair import new_key_pair
from skyrig import places


class ClientKeyProvider(ResourceProvider):
    """Makes an ed25519 key pair; it lives in the stack's state alone."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """A new key pair."""
        private, public = new_key_pair()
        line = f"{public} skyrig-{props['stack']}"
        return CreateResult(props["stack"], {**props, "public_key": line, "private_key": private})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What the state says: there is no other place to look."""
        return ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Remove the copies that the client has made for its own use."""
        folder = places.stack(_props["stack"])
        for name in ("cluster.json", "key", "known_hosts", "ssh_config"):
            (folder / name).unlink(missing_ok=True)


class ClientKey(Resource, module="skyrig", name="ClientKey"):
    """Key pair with which the client enters the nodes of a stack; never on a node itself."""

    public_key: pulumi.Output[str]
    """Public part, one OpenSSH line."""

    private_key: pulumi.Output[str]
    """Private part, OpenSSH text; a secret."""

    def __init__(self, name: str, stack: str, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["private_key"])
        props = {"stack": stack, "public_key": None, "private_key": None}
        super().__init__(ClientKeyProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))
