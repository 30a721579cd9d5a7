"""Whether a type is what is asked for, and why it is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skyrig.catalog import facts, naming
from skyrig.catalog.stock import Stock

if TYPE_CHECKING:
    from skyrig.catalog.wishes import Wish

_SAME = 0.01
"""Counts of accelerators that differ by less are the same: shares are rounded in price tables."""


def lack(wish: Wish, kind: Stock) -> str:
    """Why a type will not do for a wish that is served by its cloud and may mean it; "" where it will."""
    if kind.per_chip:
        return "is the price of one chip: slices have it"
    return contradiction(wish, kind) or _unfit(wish, kind)


def contradiction(wish: Wish, kind: Stock) -> str:
    """What a type lacks of the amounts that are asked for; "" where it has all."""
    asked = wish.asked
    if asked.accelerator is not None and (wrong := other_accelerator(wish, kind)):
        return wrong
    cores = wish.cpus.get(kind.cloud, "")
    if cores and not enough(cores, kind.cpus):
        return f"has {kind.cpus:g} cores, not {cores}" if kind.cpus else "has an unknown number of cores"
    if wish.memory and not _enough_memory(wish.memory, kind) and not _is_as_it_is(wish, kind):
        wanted = f"{wish.memory} its cores" if wish.memory.endswith("x") else wish.memory
        return f"has {kind.memory_gib:g} GiB, not {wanted}" if kind.memory_gib else "has an unknown amount of memory"
    return ""


def _is_as_it_is(wish: Wish, kind: Stock) -> bool:
    """Whether any memory will do, since nobody asked for some, and the cloud's machines are what there is."""
    return wish.asked.memory is None and kind.cloud in facts.common("families")["memory_as_it_is"]


def needless_accelerator(kind: Stock) -> bool:
    """Whether a type has accelerators that a task without any does not get on its cloud."""
    return bool(kind.accelerator) and kind.cloud not in facts.common("families")["with_accelerators"]


def enough(asked: str, there: float) -> bool:
    """Whether so much is what is asked for in the normal form: `4` exactly, `4+` at least."""
    amount = float(asked.rstrip("+"))
    return there >= amount if asked.endswith("+") else there == amount


def other_accelerator(wish: Wish, kind: Stock, *, unknown: bool = False) -> str:
    """Which other accelerators a type has than a wish asks for, or how many; "" where they are the same. `unknown`: an
    unknown number will do."""
    count = wish.asked.accelerator.count if wish.asked.accelerator is not None else 0
    if f"tpu-{kind.name}".lower() in wish.accelerators:
        return "" if count == 1 else f"is one slice, not {count:g}: num_nodes counts its hosts"
    if kind.accelerator.lower() not in wish.accelerators:
        return f"has {kind.accelerator or 'no accelerators'}"
    if not kind.accelerator_count:
        return "" if unknown else f"has an unknown number of {kind.accelerator}"
    return "" if abs(kind.accelerator_count - count) < _SAME else f"has {kind.accelerator}:{kind.accelerator_count:g}"


def _enough_memory(asked: str, kind: Stock) -> bool:
    if asked.endswith("x"):
        return kind.memory_gib >= float(asked[:-1]) * kind.cpus
    return enough(asked, kind.memory_gib)


def _unfit(wish: Wish, kind: Stock) -> str:
    """What else is wrong with a type that has the amounts."""
    asked = wish.asked
    if asked.accelerator is None and asked.instance_type is None and (wrong := _no_cpu_node(kind)):
        return wrong
    if asked.accelerator is not None and naming.is_by_memory(asked.accelerator) and kind.arch != "x86_64":
        return f"has {kind.arch} cores: taken only by the name of its accelerator"
    if asked.image is not None and asked.image.arch not in ("", kind.arch):
        return f"has {kind.arch} cores: image {asked.image.ours} is for {asked.image.arch}"
    if wish.nodes % kind.hosts:
        return f"is {kind.hosts} hosts: num_nodes {kind.hosts}, or a multiple, is one"
    if asked.network_tier == "best" and (wrong := _plain_network(kind)):
        return wrong
    if asked.local_disk is not None:
        amount = asked.local_disk.partition(":")[2]
        if kind.local_disk_gb is None:
            return "has local disks of unknown size"
        if not enough(amount, kind.local_disk_gb):
            return f"has local disks of {kind.local_disk_gb:g} GB, not {amount}"
    return ""


def _no_cpu_node(kind: Stock) -> str:
    """Why a type is not taken where nothing but cores and memory is asked for; "" where it is."""
    if needless_accelerator(kind):
        return f"has {kind.accelerator}"
    if kind.arch != "x86_64":
        return f"has {kind.arch} cores: taken only as instance_type"
    family = facts.common("families")["families"].get(kind.cloud)
    if family is not None and not re.fullmatch(family, kind.name):
        return "is of a family that is taken only as instance_type"
    return ""


def _plain_network(kind: Stock) -> str:
    said = facts.common("features")
    only = said["only"]["network_tier"].get(kind.cloud)
    if only is not None and [kind.accelerator, kind.accelerator_count] not in only:
        return "has no fabric, which network_tier best asks for"
    if kind.cloud in said["with_fabric"]["network_tier"] and kind.fabric == "none":
        return "has no fabric, which network_tier best asks for"
    return ""
