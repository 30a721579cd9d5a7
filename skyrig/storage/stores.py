"""The kinds of object stores: what rclone calls them, where they are, and in which variables people keep their keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import cattrs
from attrs import field, frozen


@frozen
class Region:
    """Variables that name a store's region, and which it is where none does."""

    variables: tuple[str, ...] = ()
    default: str = ""


@frozen
class Endpoint:
    """Where a store answers: what one of `variables` says, else `url` with {region} and {account} filled in, of which
    the variable `account` says the latter."""

    variables: tuple[str, ...] = ()
    url: str = ""
    account: str = ""

    def of(self, variables: Mapping[str, str], region: str) -> str:
        """The endpoint; "" where that cannot be told."""
        account = variables.get(self.account, "")
        built = self.url if "{account}" not in self.url or account else ""
        return value(self.variables, variables) or built.format(region=region, account=account)

    @property
    def wanted(self) -> str:
        """The variables that would tell it, in words."""
        return " or ".join(filter(None, [*self.variables[:1], self.account]))


@frozen
class Store:
    """One kind. `remote` are rclone's options for all of its buckets; `keys` the secret ones, each with the variables
    that it is read from; `instead` others that do in their place, `more` such as are added where they are given."""

    source: str
    remote: dict[str, str]
    keys: dict[str, tuple[str, ...]]
    more: dict[str, tuple[str, ...]] = field(factory=dict)
    instead: dict[str, tuple[str, ...]] = field(factory=dict)
    region: Region = field(factory=Region)
    endpoint: Endpoint = field(factory=Endpoint)


def store(name: str) -> Store:
    """The store called `name` in data/stores.json."""
    return _stores()[name]


def first(names: Sequence[str], variables: Mapping[str, str]) -> str:
    """The first of `names` that has a value among `variables`; "" where none has."""
    return next((name for name in names if variables.get(name)), "")


def value(names: Sequence[str], variables: Mapping[str, str]) -> str:
    """What the first of `names` that has a value says; "" where none has one."""
    return variables.get(first(names, variables), "")


@cache
def _stores() -> dict[str, Store]:
    text = resources.files("skyrig.storage").joinpath("data/stores.json").read_text(encoding="utf-8")
    return cattrs.structure(json.loads(text)["stores"], dict[str, Store])
