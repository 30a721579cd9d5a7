"""Whether Nebius can be used from here: who one is, in which region the project is, and how much there may be."""

from __future__ import annotations

from typing import Any

from skyrig.catalog import facts, instances
from skyrig.clouds.cloud import Finding, Wanted
from skyrig.clouds.nebius import session
from skyrig.clouds.nebius.door import INSTANCE, Door, opened
from skyrig.errors import SkyrigError


def findings(project: str, region: str, wanted: Wanted | None) -> list[Finding]:
    """All that can be known before anything is made. Rights are seen by what may be listed: the API tells no others."""
    if reason := session.missing():
        return [Finding("credentials", False, reason)]
    if not project:
        return [Finding("project", False, f"none is named: {session.NAME_ONE}")]
    try:
        with opened(project) as door:
            here = door.region()
            first = [Finding("credentials", True, f"project {project}"), _region(here, region), _machines(door)]
            return first if wanted is None else [*first, *_quotas(door, wanted)]
    except SkyrigError as error:
        return [Finding("credentials", False, str(error))]


def _region(here: str, region: str) -> Finding:
    if not region or not here:
        return Finding("region", None if not here else True, f"the project is in {here}" if here else "not told")
    fix = f"the project is in {here}: {session.NAME_ONE} that is in {region}, or take --region {here}"
    return Finding("region", here == region, here if here == region else fix)


def _machines(door: Door) -> Finding:
    try:
        door.listed(INSTANCE)
    except SkyrigError as error:
        return Finding("Compute", False, f"VMs cannot be listed: {error.message}")
    return Finding("Compute", True)


def _quotas(door: Door, wanted: Wanted) -> list[Finding]:
    """What is left of the quota for a type, by the quota's name (data/nebius/quotas.json)."""
    kind = instances.find("nebius", wanted.instance_type)
    said = facts.of("nebius", "quotas")["spot" if wanted.spot else "on_demand"]
    name = said.get(kind.name.partition("_")[0], "")
    if not name or not kind.accelerator:
        return []
    try:
        there = next((each for each in door.quotas() if each.metadata.name == name), None)
    except SkyrigError as error:
        return [Finding("quota", None, f"it cannot be asked for: {error.message}")]
    if there is None:
        return [Finding("quota", None, f"{name} is not among the project's quotas")]
    return [_enough(name, there, wanted.nodes * int(kind.accelerator_count))]


def _enough(name: str, there: Any, needed: int) -> Finding:
    limit, used = int(there.spec.limit or 0), int(there.status.usage)
    told = f"{name}: {needed} GPUs are wanted, {limit - used} of {limit} are free"
    return Finding("quota", needed <= limit - used, told)
