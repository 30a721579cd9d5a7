"""The user's own prices: what was agreed on instead of list prices, and capacity that is reserved.

One YAML file, `prices.yaml` in SKYRIG_HOME or the one that SKYRIG_PRICES names: `prices` (a price of a type, in a
region or in all), `discounts` (shares of list prices, by CLOUD or CLOUD/TYPES with `*`), `reservations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from skyrig.catalog import facts
from skyrig.catalog.market import Reservation
from skyrig.catalog.prices import ANYWHERE
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.task.node import Node


@frozen
class OwnPrice:
    """What a type costs the user in a region (`*`: in all), in USD an hour and node; None where it stays the list's.
    `facts` are columns of the price table that say what the type is, for one that is in no list. `where` is its place
    in the file."""

    cloud: str
    region: str
    instance_type: str
    on_demand: float | None
    spot: float | None
    as_of: str
    source: str
    facts: Mapping[str, Any] = field(factory=dict)
    where: str = ""


@frozen
class OwnPrices:
    """All that the file says; `discounts` are shares of the list price by CLOUD or CLOUD/TYPES, `places` where in the
    file each reservation stands."""

    prices: tuple[OwnPrice, ...] = ()
    discounts: Mapping[str, float] = field(factory=dict)
    reservations: tuple[Reservation, ...] = ()
    places: tuple[str, ...] = ()

    def discount(self, cloud: str, instance_type: str) -> float:
        """The share of a type's list price that is not paid: what the most specific discount says, 0.0 without one."""
        fitting = [name for name in self.discounts if _is_for(name, cloud, instance_type)]
        return self.discounts[max(fitting, key=_detail)] if fitting else 0.0

    def of_cloud(self, cloud: str) -> OwnPrices:
        """What is said of one cloud, but for reservations."""
        listed = {name: share for name, share in self.discounts.items() if name.partition("/")[0] == cloud}
        return OwnPrices(tuple(each for each in self.prices if each.cloud == cloud), listed)


def read(path: Path) -> OwnPrices:
    """What a file says. BadInput with every line that is wrong, as FILE:LINE:COLUMN: field: why."""
    from skyrig.task import document  # YAML: only where there is such a file
    from skyrig.task.problems import Problems

    problems = Problems()
    try:
        text = path.read_text(encoding="utf-8-sig")
        changed = date.fromtimestamp(path.stat().st_mtime).isoformat()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    found = document.loads(text, str(path), problems)
    for extra in found[1:]:
        extra.note("one document is wanted")
    said = found[0].read(lambda node: _fields(node, changed), {}) if found else {}
    problems.raise_if_any()
    held = said.get("reservations", ())
    return OwnPrices(
        tuple(said.get("prices", ())),
        said.get("discounts", {}),
        tuple(each for each, _ in held),
        tuple(where for _, where in held),
    )


def _fields(node: Node, changed: str) -> dict[str, Any]:
    table = {
        "prices": lambda listed: _each(listed, lambda item: _price(item, changed)),
        "discounts": _discounts,
        "reservations": lambda listed: _each(listed, _reservation),
    }
    return node.read_fields(table, null_is_absent=True)


def _each(listed: Node, how: Any) -> list[Any]:
    found = [item.read(how, None) for item in listed.items()]
    return [each for each in found if each is not None]


_FACTS = ("accelerator", "count", "vcpus", "memory_gib")


def _price(node: Node, changed: str) -> OwnPrice | None:
    said = node.read_fields(
        {
            "cloud": _cloud,
            "region": lambda each: each.filled_text(),
            "instance_type": lambda each: each.filled_text(),
            "on_demand": lambda each: each.number(0),
            "spot": lambda each: each.number(0),
            "as_of": _date,
            "accelerator": lambda each: each.filled_text(),
            "count": lambda each: each.number(0),
            "vcpus": lambda each: each.number(0),
            "memory_gib": lambda each: each.number(0),
        },
        null_is_absent=True,
    )
    if not _complete(node, said, ("cloud", "instance_type")):
        return None
    if "on_demand" not in said and "spot" not in said:
        raise node.wrong("on_demand or spot is wanted")
    return OwnPrice(
        said["cloud"],
        said.get("region", ANYWHERE),
        said["instance_type"],
        said.get("on_demand"),
        said.get("spot"),
        said.get("as_of", changed),
        "your own price",
        {name: said[name] for name in _FACTS if name in said},
        str(node.where),
    )


def _reservation(node: Node) -> tuple[Reservation, str] | None:
    said = node.read_fields(
        {
            "id": lambda each: each.filled_text(),
            "cloud": _cloud,
            "region": lambda each: each.filled_text(),
            "zone": lambda each: each.text(),
            "instance_type": lambda each: each.filled_text(),
            "nodes": lambda each: each.whole(1),
            "hourly": lambda each: each.number(0),
        },
        null_is_absent=True,
    )
    if not _complete(node, said, ("id", "cloud", "region", "instance_type", "nodes")):
        return None
    return Reservation(**{"zone": "", **said}), str(node.where)


def _discounts(node: Node) -> dict[str, float]:
    found = {}
    for name, each in node.fields().items():
        cloud, _, types = name.partition("/")
        if cloud not in facts.clouds() or (not types and "/" in name):
            each.note(f"CLOUD or CLOUD/TYPES is wanted; clouds: {', '.join(facts.clouds())}")
        share = each.read(lambda value: value.number(0), 0.0)
        if share >= 1:
            each.note(f"{share} is out of range: a share of the list price is wanted, 0.2 for a fifth less")
        found[name] = float(share)
    return found


def _complete(node: Node, said: Mapping[str, Any], wanted: tuple[str, ...]) -> bool:
    """Whether all that is wanted is there; what is missing is noted, but not what was noted already."""
    missing = [name for name in wanted if name not in said and name not in node.fields()]
    if missing:
        node.note(f"{', '.join(missing)} is wanted" if len(missing) == 1 else f"{', '.join(missing)} are wanted")
    return all(name in said for name in wanted)


def _cloud(node: Node) -> str:
    return node.one_of(facts.clouds())


def _date(node: Node) -> str:
    """A date; YAML reads a plain one as such."""
    if isinstance(node.data, date):
        return node.data.isoformat()
    return node.matching(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?", "a date, 2026-07-20,")


def _is_for(name: str, cloud: str, instance_type: str) -> bool:
    whose, _, types = name.partition("/")
    return whose == cloud and (not types or fnmatchcase(instance_type, types))


def _detail(name: str) -> tuple[bool, int]:
    """How much a discount's name says: a whole name most, then the longest pattern."""
    return ("*" not in name and "/" in name, len(name.replace("*", "")))
