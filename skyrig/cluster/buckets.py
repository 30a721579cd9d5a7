"""Wanted buckets, as a stack's config says: the key `buckets`, a list of {name, store, region, persistent, account}.

A stack whose config has buckets and no nodes is a data stack: it makes nothing else. Values are plain; what a cloud
would refuse is refused here, before anything is made.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import Attribute, field, fields, frozen

from skyrig.cluster import keys, stores
from skyrig.cluster.keys import NAMESPACE
from skyrig.cluster.stores import Keeping
from skyrig.errors import BadInput

DATA = "-data"
"""How the name of a cluster's data stack ends."""


def check_name(store: str, name: str) -> str:
    """`name` if `store` takes it as a bucket's name, else BadInput with the rule."""
    keeping = stores.all_known()[store]
    if wrong := _wrong(keeping, name):
        raise BadInput(f"{name!r} is no name of a bucket on {store}: {wrong}", hint=f"a name has {keeping.letters}")
    return name


def _wrong(store: Keeping, name: str) -> str:
    """What is wrong with a name; "" where nothing is."""
    if not 3 <= len(name) <= 63:
        return f"it has {len(name)} characters"
    if not store.has_signs(name):
        return "it has a character that may not be there"
    if refused := store.refuses(name):
        return refused
    if ".." in name or ".-" in name or "-." in name:
        return "dots and other signs stand side by side"
    return "it is an IP address" if _is_address(name) else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def _named(bucket: Bucket, _: Attribute[str], name: str) -> None:
    check_name(bucket.store, name)


@frozen
class Bucket:
    """One wanted bucket. `persistent` ones outlive their stack; `account` pays for it on a cloud, and `region` is where
    it is made there."""

    name: str = field(validator=_named)
    store: str = "local"
    region: str = ""
    persistent: bool = True
    account: str = ""

    def to_config(self) -> dict[str, Any]:
        """The entry in the config: name and store, and what else is no default."""
        entry: dict[str, Any] = {"name": self.name, "store": self.store}
        entry |= {"region": self.region} if self.region else {}
        entry |= {"account": self.account} if self.account else {}
        return entry if self.persistent else {**entry, "persistent": False}


_KEYS = tuple(each.name for each in fields(Bucket))


def read(value: Any) -> tuple[Bucket, ...]:
    """Buckets from the config's value, which may come as JSON text; BadInput names what is wrong."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "[]")
        except json.JSONDecodeError:
            value = None
    if not isinstance(value, list | tuple) or not all(isinstance(each, Mapping) for each in value):
        raise BadInput(f"{NAMESPACE}:buckets: a list of buckets is wanted, for instance [{{name: my-data, store: s3}}]")
    found = tuple(_bucket(each) for each in value)
    _refuse_doubles(found)
    return found


def _bucket(entry: Mapping[str, Any]) -> Bucket:
    keys.refuse_unknown(entry, _KEYS)
    if not isinstance(entry.get("name"), str):
        raise BadInput(f"{NAMESPACE}:buckets: a bucket without a name")
    store = keys.one_of("buckets", entry.get("store", "local"), tuple(stores.all_known()))
    persistent = entry.get("persistent", True)
    if str(persistent).lower() not in ("true", "false"):
        raise BadInput(f"{NAMESPACE}:buckets: {entry['name']}: persistent is true or false, not {persistent!r}")
    region = keys.word("buckets", entry.get("region", ""), r"[A-Za-z0-9-]{1,64}", "a region")
    account = keys.word("buckets", str(entry.get("account", "")), r"[A-Za-z0-9:.-]{1,128}", "an account")
    keeping = stores.all_known()[store]
    if keeping.region and not region:
        raise BadInput(f"{NAMESPACE}:buckets: {entry['name']}: on {store} a region is wanted")
    if keeping.account and not account:
        raise BadInput(f"{NAMESPACE}:buckets: {entry['name']}: on {store} {keeping.account} is wanted, as its account")
    return Bucket(entry["name"], store, region, str(persistent).lower() == "true", account)


def _refuse_doubles(found: Iterable[Bucket]) -> None:
    seen = set()
    for bucket in found:
        if (bucket.store, bucket.name) in seen:
            raise BadInput(f"{NAMESPACE}:buckets: {bucket.name!r} on {bucket.store} stands there twice")
        seen.add((bucket.store, bucket.name))
