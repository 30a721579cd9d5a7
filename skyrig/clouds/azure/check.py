"""Whether Azure can be used from here: who one is, what one may do, and how much of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from skyrig.catalog import facts, instances
from skyrig.catalog.instances import InstanceType
from skyrig.clouds.azure import arm, rights
from skyrig.clouds.azure.arm import COMPUTE, MOST_AT_ONCE, Arm
from skyrig.clouds.azure.leftovers import AUTHORIZATION
from skyrig.clouds.cloud import Finding, Wanted
from skyrig.errors import SkyrigError

PROVIDERS = ("Microsoft.Compute", "Microsoft.ManagedIdentity", "Microsoft.Network")
"""Resource providers that a cluster's things are of; a subscription must have registered each."""

_SUBSCRIPTIONS = "2022-12-01"
_PROVIDERS = "2021-04-01"
_FEATURES = "2021-07-01"
_SKUS = "2021-07-01"


def findings(owner: str, region: str, wanted: Wanted | None) -> list[Finding]:
    """All that can be known before anything is made: credentials first, then the rest at once."""
    try:
        where, subscription = arm.usable(owner)
        first = _credentials(where, subscription)
    except SkyrigError as error:
        return [Finding("credentials", False, str(error).removeprefix("azure: "))]
    if not first.ok:
        return [first]
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        looks = [(what, pool.submit(look)) for what, look in _looks(where, subscription, region, wanted)]
        return [first, *(each for what, look in looks for each in _said(what, look.result))]


def _said(what: str, ask: Callable[[], list[Finding]]) -> list[Finding]:
    """What a look has found; what cannot be asked is not known."""
    try:
        return ask()
    except SkyrigError as error:
        return [Finding(what, None, f"cannot be asked: {error.message.removeprefix('azure: ')}")]


def _credentials(where: Arm, subscription: str) -> Finding:
    found = where.get(f"/subscriptions/{subscription}", _SUBSCRIPTIONS)
    if found is None:
        return Finding("credentials", False, f"subscription {subscription} is not there: `az account set -s NAME`")
    told = f"subscription {subscription} ({found.get('displayName', '')})"
    if found.get("state") not in ("Enabled", "PastDue"):
        return Finding("credentials", False, f"{told} is {str(found.get('state')).lower()}: `az account set -s NAME`")
    who = who_of(where.token())
    return Finding("credentials", True, f"{told}{', ' if who else ''}{who}")


def who_of(token: str) -> str:
    """Whom a token is for, as it says itself; "" where it does not. Azure alone can tell whether that is true."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return ""
    return str(next((claims[name] for name in ("upn", "unique_name", "appid", "oid") if claims.get(name)), ""))


def _looks(
    where: Arm, subscription: str, region: str, wanted: Wanted | None
) -> Iterator[tuple[str, Callable[[], list[Finding]]]]:
    home = f"/subscriptions/{subscription}"
    yield "rights", lambda: _rights(where, home)
    for namespace in PROVIDERS:
        yield namespace, lambda namespace=namespace: [_provider(where, home, namespace)]  # type: ignore[misc]
    yield "EncryptionAtHost", lambda: [_encryption(where, home)]
    if wanted is not None:
        kind = instances.find("azure", wanted.instance_type)
        yield kind.name, lambda: _sold(where, home, region, wanted, kind)


def _rights(where: Arm, home: str) -> list[Finding]:
    given = where.listed(f"{home}/providers/Microsoft.Authorization/permissions", AUTHORIZATION)
    return [_right(home, role, rights.lacking(given, needed)) for role, needed in rights.NEEDED.items()]


def _right(home: str, role: str, lacks: list[str]) -> Finding:
    if not lacks:
        return Finding(f"rights of {role}", True)
    fix = f'`az role assignment create --assignee YOU --role "{role}" --scope {home}`'
    return Finding(f"rights of {role}", False, f"no right to {', '.join(lacks)}: {fix}")


def _provider(where: Arm, home: str, namespace: str) -> Finding:
    found = where.get(f"{home}/providers/{namespace}", _PROVIDERS) or {}
    state = str(found.get("registrationState", "not known"))
    if state == "Registered":
        return Finding(namespace, True)
    fix = f"`az provider register -n {namespace} --wait`"
    return Finding(namespace, False, f"the resource provider is {state.lower()}: {fix}")


def _encryption(where: Arm, home: str) -> Finding:
    """Machines have encryption at host, which a subscription must be allowed once."""
    path = f"{home}/providers/Microsoft.Features/providers/Microsoft.Compute/features/EncryptionAtHost"
    state = str(((where.get(path, _FEATURES) or {}).get("properties") or {}).get("state", "NotRegistered"))
    if state == "Registered":
        return Finding("EncryptionAtHost", True)
    fix = "`az feature register --namespace Microsoft.Compute --name EncryptionAtHost`"
    return Finding(
        "EncryptionAtHost", False, f"{state.lower()}: {fix}, then `az provider register -n Microsoft.Compute`"
    )


def _sold(where: Arm, home: str, region: str, wanted: Wanted, kind: InstanceType) -> list[Finding]:
    """Whether the type is sold to the subscription in the region, and how much of it."""
    sold = where.listed(f"{home}/providers/Microsoft.Compute/skus", _SKUS, **{"$filter": f"location eq '{region}'"})
    mine = [each for each in sold if each.get("resourceType") == "virtualMachines" and each.get("name") == kind.name]
    offered = _offered(mine[0] if mine else None, region, kind.name)
    usages = where.listed(f"{home}/providers/Microsoft.Compute/locations/{region}/usages", COMPUTE)
    family = str(mine[0].get("family", "")) if mine else ""
    return [offered, *(_quota(home, region, usages, name, wanted, kind) for name in counted(family, spot=wanted.spot))]


def _offered(sku: Mapping[str, Any] | None, region: str, name: str) -> Finding:
    if sku is None:
        return Finding(name, False, f"{region} does not have it: another --region")
    zones = {zone for place in sku.get("locationInfo") or () for zone in place.get("zones") or ()}
    for each in sku.get("restrictions") or ():
        if each.get("type") == "Location":
            why = each.get("reasonCode", "restricted")
            fix = "another --region, or ask Azure's support for access to it"
            return Finding(name, False, f"not sold to this subscription in {region} ({why}): {fix}")
        zones -= set((each.get("restrictionInfo") or {}).get("zones") or ())
    return Finding(name, True, f"in {region}, zones {', '.join(sorted(zones))}" if zones else f"in {region}, no zones")


def counted(family: str, *, spot: bool) -> list[str]:
    """Names of the usages that machines of a family count against: of all types together, and of that family (spot
    has none by family)."""
    said = facts.of("azure", "quotas")
    return [str(said["spot"]["*"])] if spot else [str(said["on_demand"]["*"]), *([family] if family else [])]


def _quota(
    home: str, region: str, usages: list[dict[str, Any]], name: str, wanted: Wanted, kind: InstanceType
) -> Finding:
    """The vCPUs that are left to the subscription, against what is wanted."""
    needed, what = kind.cpus * wanted.nodes, f"quota {name}"
    found = next((each for each in usages if each["name"]["value"].lower() == name.lower()), None)
    if found is None:
        return Finding(what, None, f"not listed in {region}: {needed:g} vCPUs are wanted")
    limit, used = float(found["limit"]), float(found["currentValue"])
    told = f"{limit:g} vCPUs allowed, {used:g} in use, {needed:g} wanted"
    if limit - used >= needed:
        return Finding(what, True, told)
    scope = f"{home}/providers/Microsoft.Compute/locations/{region}"
    fix = f"`az quota update --resource-name {name} --scope {scope} --limit-object value={used + needed:g}`"
    return Finding(what, False, f"{told}: {fix}, or another --region")
