"""The places of the local cloud: two regions with three zones between them, all of them this machine. They are there so
that capacity can be missing in one and not in another."""

from __future__ import annotations

from collections.abc import Mapping

from skyrig.errors import BadInput

CLOUD = "local"

ZONES: Mapping[str, tuple[str, ...]] = {"here": ("here-a", "here-b"), "there": ("there-a",)}
"""Zones by region, in the order in which they are tried."""

HOME = "here-a"
"""Where nodes stand of which nobody has said where: of clusters that name no place, made while no place was limited."""


def region_of(zone: str) -> str:
    """The region of a zone; "" for "". BadInput where there is no such zone."""
    if not zone:
        return ""
    found = next((region for region, zones in ZONES.items() if zone in zones), None)
    if found is None:
        raise BadInput(f"the local cloud has no zone {zone}", hint=_HINT)
    return found


def place(region: str | None, zone: str | None) -> tuple[str, str]:
    """Region and zone that are meant, "" where that is any; the region is known where the zone is. BadInput where
    there is no such place."""
    own = region_of(zone or "")
    if region and region not in ZONES:
        raise BadInput(f"the local cloud has no region {region}", hint=_HINT)
    if region and own and own != region:
        raise BadInput(f"zone {zone} is in region {own}, not in {region}", hint=_HINT)
    return region or own, zone or ""


def settled(region: str, zone: str) -> tuple[str, str]:
    """Region and zone of a place, with the first zone of a region that alone is said; "" where nothing is said.
    BadInput where there is no such place."""
    region, zone = place(region, zone)
    return region, zone or (ZONES[region][0] if region else "")


def named(text: str) -> tuple[str, str]:
    """Region and zone of `local`, `here`, `here-a`, `local/here` or `local/here/here-a`. BadInput for anything else."""
    parts = text.removeprefix(f"{CLOUD}/").split("/") if text != CLOUD else []
    if len(parts) > 2 or "" in parts:
        raise BadInput(f"{text!r} is no place of the local cloud", hint=_HINT)
    if len(parts) == 1 and parts[0] not in ZONES:
        return place(None, parts[0])
    return place(*parts) if len(parts) == 2 else place(parts[0] if parts else None, None)


def path(region: str, zone: str) -> str:
    """A place in full, as `infra` names it."""
    return "/".join(part for part in (CLOUD, region, zone) if part)


def around(zone: str) -> tuple[str, str, str]:
    """The places that a zone is in, the smallest first: itself, its region and the cloud, each in full."""
    region = region_of(zone)
    return path(region, zone), path(region, ""), CLOUD


def every() -> list[str]:
    """All places in full, each before those in it."""
    return [CLOUD, *(path(region, zone) for region, zones in ZONES.items() for zone in ("", *zones))]


_HINT = f"there are {', '.join(each for each in every())}"
