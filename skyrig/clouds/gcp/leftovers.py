"""What Google Cloud still has of a stack, what that costs, and its removal.

`KINDS` is in the order of removal: what others hang on comes later. All kinds are looked for at once. Things are found
by the beginning of their names, which is the stack's own, and by its label; what takes no labels says the same in its
description.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from attrs import frozen

from skyrig.catalog import disks, facts, instances, sources
from skyrig.clouds.cloud import Leftover, NotUsable
from skyrig.clouds.gcp import machines
from skyrig.clouds.gcp.door import Described, Door
from skyrig.clouds.gcp.names import account_email, cluster_name, label, role_id
from skyrig.errors import SkyrigError

MOST_AT_ONCE = 10
"""How many questions are asked at a time: so many connections are kept."""

LIMIT_S = 600.0
"""Seconds that removing things of one kind may take."""


def _free(described: Described) -> float | None:
    return 0.0


@frozen
class Kind:
    """One kind of thing of Compute Engine: the collection that lists it, in `scope` (zones, regions or global), and
    what one costs an hour."""

    name: str
    noun: str
    scope: str
    hourly: Callable[[Described], float | None] = _free

    def found(self, door: Door, stack: str, region: str) -> list[Leftover]:
        """Those of the stack."""
        asked = {"filter": f'name eq "{cluster_name(stack)}-.*"'}
        if self.scope == "zones":
            there = door.everywhere(self.noun, asked)
        else:
            there = self._listed(door, f"{_scope(self.scope, region)}/{self.noun}", asked)
        return [self.left(each, region) for each in there if _ours(each, stack)]

    def _listed(self, door: Door, path: str, asked: dict[str, str]) -> list[Described]:
        """Those of a region, or of none. Who may not look for images has made none."""
        try:
            return door.listed(path, query=asked)
        except NotUsable:
            if self.noun != "images":
                raise
            return []

    def left(self, described: Described, region: str) -> Leftover:
        """One of them, as the API describes it."""
        where = f"zones/{last(described['zone'])}" if self.scope == "zones" else _scope(self.scope, region)
        owner, made = machines.said(described).get("skyrig-owner", ""), _since(described, "creationTimestamp")
        return Leftover(self.name, f"{where}/{self.noun}/{described['name']}", self.hourly(described), owner, made)


def of_stack(door: Door, stack: str, region: str) -> list[Leftover]:
    """All that is there of the stack, in the order of removal; ids are paths in the project."""
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as pool:
        slices = pool.submit(_slices, door, stack, region)
        roles, accounts = (
            pool.submit(_roles, door, cluster_name(stack)),
            pool.submit(_accounts, door, cluster_name(stack)),
        )
        found = list(pool.map(lambda kind: kind.found(door, stack, region), KINDS))
        return [*slices.result(), *(each for kind in found for each in kind), *roles.result(), *accounts.result()]


def remove(door: Door, left: Sequence[Leftover]) -> None:
    """Remove it kind by kind. What Google Cloud refuses to remove now stays, and is listed again."""
    for name in (_SLICE, *(kind.name for kind in KINDS), _ROLE, _ACCOUNT):
        wanted = [each for each in left if each.kind == name]
        if wanted:
            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(lambda each: _remove(door, each), wanted))


def _remove(door: Door, each: Leftover) -> None:
    until = time.monotonic() + LIMIT_S
    try:
        if each.kind in (_ROLE, _ACCOUNT):
            door.call("DELETE", each.id, service="iam")
        elif each.kind == _SLICE:
            door.tpu_ended(door.call("DELETE", each.id, service="tpu")["name"], until)
        else:
            scope = each.id.rsplit("/", 2)[0]
            door.ended(scope, door.call("DELETE", each.id)["name"], until)
    except SkyrigError:
        return  # it is found again, and named


def _ours(described: Described, stack: str) -> bool:
    if "labels" in described:
        return machines.is_of(described, stack)
    return machines.said(described).get("skyrig-stack") == label(stack)


def _since(described: Described, key: str) -> float | None:
    """When a thing was made, in seconds since 1970."""
    try:
        return datetime.fromisoformat(described[key].replace("Z", "+00:00")).timestamp()
    except (KeyError, ValueError):
        return None


def _scope(scope: str, region: str) -> str:
    return f"regions/{region}" if scope == "regions" else scope


def last(link: str) -> str:
    """The last word of a link, for instance a zone."""
    return link.rpartition("/")[2]


def _region(described: Described) -> str:
    return last(described["zone"]).rpartition("-")[0]


def _instance_hourly(described: Described) -> float | None:
    if described["status"] in machines.OFF:
        return 0.0
    said = described.get("scheduling", {})
    spot = said.get("provisioningModel") == "SPOT" or bool(said.get("preemptible"))
    return sources.hourly("gcp", _region(described), last(described["machineType"]), spot=spot)


def _disk_hourly(described: Described) -> float | None:
    return disks.hourly("gcp", last(described["type"]), float(described["sizeGb"]))


def _address_hourly(described: Described) -> float | None:
    said = facts.of("gcp", "egress")
    return said.get("address_hourly" if described.get("users") else "address_idle_hourly")


def _router_hourly(described: Described) -> float | None:
    """Of a router with a gateway: its address at least. Each machine behind it costs more, until that is gone."""
    return facts.of("gcp", "egress").get("address_hourly") if described.get("nats") else 0.0


def _rule_hourly(described: Described) -> float | None:
    """Of a balancer's rule, as if it were the only one: those of a project are paid for together."""
    return facts.of("gcp", "balancer").get("hourly")


def _image_hourly(described: Described) -> float | None:
    """Of what an image takes, compressed."""
    taken = float(described.get("archiveSizeBytes", 0)) / 2**30
    return taken * float(facts.of("gcp", "imaging")["gb_month"]) / 730


KINDS = (
    Kind("forwarding rule", "forwardingRules", "regions", _rule_hourly),
    Kind("backend service", "backendServices", "regions"),
    Kind("health check", "healthChecks", "regions"),
    Kind("instance group", "instanceGroups", "zones"),
    Kind("instance", "instances", "zones", _instance_hourly),
    Kind("NAT gateway", "routers", "regions", _router_hourly),
    Kind("address", "addresses", "regions", _address_hourly),
    Kind("disk", "disks", "zones", _disk_hourly),
    Kind("firewall rule", "firewalls", "global"),
    Kind("subnet", "subnetworks", "regions"),
    Kind("network", "networks", "global"),
    Kind("placement policy", "resourcePolicies", "regions"),
    Kind("image", "images", "global", _image_hourly),
)
"""What a cluster or an image is made of, and what they leave, but for what is not of Compute Engine."""

_SLICE, _ROLE, _ACCOUNT = "TPU slice", "custom role", "service account"


def _slices(door: Door, stack: str, region: str) -> list[Leftover]:
    """TPU slices. Who may not look for any has made none."""
    try:
        there = machines.slices(door, stack, region)
    except NotUsable:
        return []
    return [slice_left(each) for each in there]


def slice_left(described: Described) -> Leftover:
    """A TPU slice, as the API describes it."""
    owner, made = machines.said(described).get("skyrig-owner", ""), _since(described, "createTime")
    return Leftover(_SLICE, machines.slice_path(described), _slice_hourly(described), owner, made)


def identity(door: Door, cluster: str) -> list[Leftover]:
    """Role and service account of the cluster whose things' names begin with `cluster`."""
    return [*_roles(door, cluster), *_accounts(door, cluster)]


def _slice_hourly(described: Described) -> float | None:
    """Of all chips of a slice."""
    said, kind = described.get("schedulingConfig", {}), instances.of_cloud("gcp").get(described["acceleratorType"])
    if described.get("state") in (*machines.SLICE_OFF, machines.PREEMPTED):
        return 0.0
    if kind is None or "priced_as" not in kind.facts:
        return None
    spot = bool(said.get("spot") or said.get("preemptible"))
    one = sources.hourly("gcp", _region(described), kind.facts["priced_as"], spot=spot)
    return None if one is None else one * float(kind.facts["slice_chips"])


def _roles(door: Door, cluster: str) -> list[Leftover]:
    path = f"roles/{role_id(cluster)}"
    found = door.there(path, service="iam")
    ours = found is not None and not found.get("deleted") and cluster in found.get("title", "").split()
    return [Leftover(_ROLE, path)] if ours else []


def _accounts(door: Door, cluster: str) -> list[Leftover]:
    path = f"serviceAccounts/{account_email(cluster, door.project)}"
    found = door.there(path, service="iam")
    ours = found is not None and cluster in found.get("displayName", "").split()
    return [Leftover(_ACCOUNT, path)] if ours else []
