"""The S3 server of a stack's local buckets, and its keys, as dynamic resources."""

import secrets
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

from components.local.program import run_storage
from skyrig import places


class LocalStoreKeyProvider(ResourceProvider):
    """Makes the keys; they live in the stack's state alone, so that a server that was lost comes back with the same."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """New keys. The id is the stack's: what is kept from an earlier server of the stack belongs to it."""
        keys = {"access_key_id": f"skyrig-{props['stack']}", "secret_access_key": secrets.token_hex(20)}
        return CreateResult(props["stack"], {**props, **keys})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What the state says: there is no other place to look."""
        return ReadResult(id_, props)


class LocalStoreKey(Resource, module="skyrig", name="LocalStoreKey"):
    """Keys to the local buckets of a stack."""

    access_key_id: pulumi.Output[str]
    """Whose key it is; no secret."""

    secret_access_key: pulumi.Output[str]
    """The key; a secret."""

    def __init__(self, name: str, stack: str, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["secret_access_key"])
        props = {"stack": stack, "access_key_id": None, "secret_access_key": None}
        super().__init__(LocalStoreKeyProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))


class LocalStoreProvider(ResourceProvider):
    """Starts, looks at and stops the server through `python -m skyrig.storage.local`."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Other keys are another server, made after the old one has ended: they share a folder."""
        changed = [key for key in ("stack", "access_key_id", "secret_access_key") if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Start the server on what is in its folder, if anything is."""
        folder = str(places.storage(props["stack"]))
        keys = {key: props[key] for key in ("access_key_id", "secret_access_key")}
        started = run_storage("start", {"folder": folder, **keys})
        said = {"endpoint": started["endpoint"], "folder": folder, "incarnation": started["incarnation"]}
        return CreateResult(f"{props['stack']}-{started['incarnation']}", {**props, **said})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The server as it is; nothing where its process is gone. One that a client has started again since is it."""
        found = run_storage("check", {"folder": props["folder"]})
        if not found:
            return ReadResult(None, {})
        said = {"endpoint": found["endpoint"], "incarnation": found["incarnation"]}
        return ReadResult(id_, {**props, **said})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """End the server. Buckets that are kept stay where they are."""
        run_storage("forget", {"folder": _props["folder"]})


class LocalStore(Resource, module="skyrig", name="LocalStore"):
    """The S3 server of a stack's local buckets: a detached process that listens on this machine alone."""

    endpoint: pulumi.Output[str]
    """http://127.0.0.1:PORT."""

    folder: pulumi.Output[str]
    """Where it keeps what it serves, in `data`."""

    incarnation: pulumi.Output[str]
    """Changes with the process."""

    def __init__(self, name: str, stack: str, key: LocalStoreKey, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {
            "stack": stack,
            "access_key_id": key.access_key_id,
            "secret_access_key": key.secret_access_key,
            "endpoint": None,
            "folder": None,
            "incarnation": None,
        }
        secret = pulumi.ResourceOptions(additional_secret_outputs=["secret_access_key"])
        super().__init__(LocalStoreProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))
