"""The section `config.skyrig.serve`: what the endpoint of a service shall be, beyond what SkyPilot's `service` says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from skyrig.task.node import Node, either

UPDATES = ("rolling", "blue_green")
"""How replicas of a new version may take over."""

BALANCERS = ("head", "cloud")
"""What the endpoint's address belongs to: the head, or a balancer of the cloud's in front of it."""

_SIZE = r"([0-9]+(?:\.[0-9]+)?) ?([kmg]i?b?|b)?"
_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}"


@frozen
class FrontDoor:
    """What was said; None, "" and empty values where nothing was. `api_keys` are names of secrets or variables whose
    values are let in; `max_body` in bytes, `rate` in requests a second from one address; `port` of the endpoint; `acme`
    has `domain`, and perhaps `email` and `directory`; `engine` serves, whose Prometheus metrics are at `metrics`;
    `balancer` is one of BALANCERS."""

    api_keys: tuple[str, ...] = ()
    max_body: int | None = None
    rate: float | None = None
    port: int | None = None
    update: str | None = None
    target_in_flight: float | None = None
    acme: Mapping[str, str] = field(factory=dict)
    engine: str = ""
    metrics: str = ""
    balancer: str = ""


def read(node: Node) -> FrontDoor:
    """The section of a task file; all that is wrong is noted."""
    given = node.read_fields(_TABLE)
    return FrontDoor(**given)


def of_plain(values: object) -> FrontDoor:
    """The same from the section's plain values. Where these are wrong, which `read` has noted, it means nothing."""
    given = {**values} if isinstance(values, Mapping) else {}
    if "api_keys" in given:
        named = given["api_keys"]
        given["api_keys"] = tuple(named) if isinstance(named, list) else (named,)
    if "update" in given:
        given["update"] = str(given["update"]).lower()
    if "max_body" in given:
        given["max_body"] = size(str(given["max_body"]))
    return FrontDoor(**{name: value for name, value in given.items() if name in _TABLE and value is not None})


def size(text: str) -> int | None:
    """A number of bytes: `1048576`, `10MB`, `1.5 GiB` (units are powers of 1024); None where it is none."""
    match = re.fullmatch(_SIZE, text.strip().lower())
    return int(float(match[1]) * _UNITS[(match[2] or "")[:1]]) if match else None


def _size(node: Node) -> int:
    found = size(node.data if isinstance(node.data, str) else str(node.whole(0)))
    if found is None:
        raise node.wrong(f"{node.shown}: a size is wanted, for instance 10MB")
    return found


def _name(node: Node) -> str:
    return node.matching("[A-Za-z_][A-Za-z0-9_]*", "the name of a secret")


def _names(node: Node) -> tuple[str, ...]:
    return tuple(_name(each) for each in node.items())


def _above_zero(node: Node) -> float:
    if node.number() <= 0:
        raise node.wrong(f"{node.shown}: a number above 0 is wanted")
    return node.number()


def _acme(node: Node) -> dict[str, str]:
    given: dict[str, str] = node.read_fields(
        {
            "domain": lambda each: each.matching(_DOMAIN, "the name of a host, for instance api.example.com,"),
            "email": Node.filled_text,
            "directory": lambda each: each.matching("https?://.+", "a url"),
        }
    )
    if "domain" not in node.fields():
        raise node.wrong("`domain` is missing")
    return given


def _path(node: Node) -> str:
    return node.matching("/.*", "a path that begins with /")


_TABLE: dict[str, Any] = {
    "api_keys": either(_names, lambda node: (_name(node),)),
    "max_body": _size,
    "rate": _above_zero,
    "port": lambda node: node.whole(1, 65535),
    "update": lambda node: node.one_of(UPDATES),
    "target_in_flight": _above_zero,
    "acme": _acme,
    "engine": Node.filled_text,
    "metrics": _path,
    "balancer": lambda node: node.one_of(BALANCERS),
}
