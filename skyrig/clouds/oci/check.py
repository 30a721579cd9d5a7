"""Whether Oracle Cloud can be used from here: who one is, what one may see, and how much of it there is.

Nobody can ask Oracle Cloud what they may do; what is refused is told when it is tried. So what is looked at here is
whether the things of a cluster can be listed: who may not list them may not make them either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from skyrig.catalog import instances
from skyrig.catalog.instances import InstanceType
from skyrig.clouds.cloud import Finding, Wanted
from skyrig.clouds.oci import limits, offering, session
from skyrig.clouds.oci.door import Described, Door
from skyrig.errors import SkyrigError

_LISTED = {
    "instance-family": "/instances",
    "virtual-network-family": "/vcns",
    "compute-clusters": "/computeClusters",
}
"""What whoever makes a cluster must manage in its compartment, and what lists some of it."""

Look = Callable[[], list[Finding]]


def findings(account: str, region: str, wanted: Wanted | None) -> list[Finding]:
    """All that can be known before anything is made: credentials first, then the rest at once."""
    if reason := session.missing():
        return [Finding("credentials", False, reason)]
    try:
        door = Door(account, region)
        asked = door.at(session.settings().get("region") or region)  # one that may be used knows which may
        subscribed = sorted(each["regionName"] for each in asked.regions)
    except SkyrigError as error:
        return [Finding("credentials", False, str(error))]
    first = Finding("credentials", True, f"{session.caller().who}, tenancy {session.tenancy()}")
    if region not in subscribed:
        told = f"the tenancy is not subscribed to it, but to {', '.join(subscribed)}"
        return [first, Finding(f"region {region}", False, told)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        looked = pool.map(lambda look: look(), _looks(door, wanted))
        return [first, *(each for found in looked for each in found)]


def _looks(door: Door, wanted: Wanted | None) -> Iterator[Look]:
    yield lambda: [_compartment(door)]
    for family, path in _LISTED.items():
        yield lambda family=family, path=path: [_listable(door, family, path)]  # type: ignore[misc]
    yield lambda: [_identity(door)]
    if wanted is not None:
        kind = instances.find("oci", wanted.instance_type)
        yield lambda: _offered(door, wanted, kind)


def _compartment(door: Door) -> Finding:
    """That the compartment is there."""
    try:
        found: Described | None = door.there(f"/compartments/{door.account}", service="identity")
    except SkyrigError as error:
        return Finding("compartment", None, error.message)
    if found is None:
        return Finding("compartment", False, f"{door.account} is not there, or not for you: {session.NAME_ONE}")
    return Finding("compartment", True, f"{found.get('name', '')} ({door.account})")


def _listable(door: Door, family: str, path: str) -> Finding:
    try:
        door.call("GET", path, {"compartmentId": door.account, "limit": "1"})
    except SkyrigError:
        fix = f"`Allow group YOURS to manage {family} in compartment id {door.account}`"
        return Finding(family, False, f"cannot be listed: a policy is wanted: {fix}")
    return Finding(family, True)


def _identity(door: Door) -> Finding:
    """Nodes stop and end themselves by a dynamic group and a policy of their own."""
    try:
        door.home.call("GET", "/dynamicGroups", {"compartmentId": session.tenancy(), "limit": "1"}, service="identity")
    except SkyrigError:
        fix = "`Allow group YOURS to manage dynamic-groups in tenancy`, and policies in the compartment"
        return Finding("dynamic-groups", False, f"cannot be listed, and nodes stop themselves by one: {fix}")
    return Finding("dynamic-groups", True)


def _offered(door: Door, wanted: Wanted, kind: InstanceType) -> list[Finding]:
    try:
        zones = offering.zones(door, kind.name)
    except SkyrigError as error:
        return [Finding(kind.name, None, error.message)]
    if not zones:
        return [Finding(kind.name, False, f"no availability domain of {door.region} has it for you: another --region")]
    return [Finding(kind.name, True, f"in {', '.join(zones)}"), *limits.findings(door, zones, wanted, kind)]
