"""The client's public key as a cloud keeps it that wants one by name, as a dynamic resource."""

from typing import Any, ClassVar, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider

from skyrig.clouds.machines_api import making
from skyrig.clouds.machines_api.machine import connect


class RentedKeyArgs(TypedDict):
    """What a key is made from."""

    account: str
    """Account that keeps it."""
    name: str
    """Its name, which no other key of the account has."""
    public_key: pulumi.Input[str]
    """The key, one OpenSSH line."""


class RentedKeyProvider(ResourceProvider):
    """Has a cloud keep a public key, looks for it and takes it away. It holds no fields."""

    serialize_as_secret_always = False
    cloud: ClassVar[str] = ""

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another key makes the old one go first: they share a name."""
        changed = [key for key in ("account", "name", "public_key") if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Have it kept; the same key under its name is taken over."""
        return CreateResult(
            making.kept(connect(self.cloud, props["account"]), props["name"], props["public_key"]), props
        )

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The key; nothing where it is gone, or another one has its name."""
        kept = {each.id: each for each in connect(self.cloud, props["account"]).known_keys()}
        same = id_ in kept and making.blob(kept[id_].public_key) == making.blob(props["public_key"])
        return ReadResult(id_, props) if same else ReadResult(None, {})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Take it away; also where it is gone already."""
        connect(self.cloud, _props["account"]).forget_key(_id)
