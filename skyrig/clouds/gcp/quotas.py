"""How much of a machine type a project may have.

`catalog/data/gcp/quotas.json`: by the beginning of a type's name, the metric of a region's quotas that it counts
against, or ID/FAMILY of a quota of the Cloud Quotas API where the region does not list it; GPUs where the name says so,
else vCPUs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from skyrig.catalog import facts
from skyrig.catalog.instances import InstanceType
from skyrig.clouds.cloud import Finding, Wanted
from skyrig.clouds.gcp.door import Described, Door
from skyrig.errors import SkyrigError

_ALL_REGIONS = "GPUS_ALL_REGIONS"
_NETWORKS = "NETWORKS"
_UNLIMITED = -1.0


def findings(door: Door, project: Described, region: str, wanted: Wanted, kind: InstanceType) -> list[Finding]:
    """What is wanted against the quotas that it counts against; `project` is as Compute Engine describes it."""
    found = [_own(door, region, wanted, kind)]
    whole = {each["metric"]: each for each in project.get("quotas", ())}
    code = quota_code(kind, spot=wanted.spot)
    if code is not None and code.startswith("NVIDIA_") and _ALL_REGIONS in whole:
        needed = kind.accelerator_count * wanted.nodes
        found.append(_against(door, _ALL_REGIONS, _free(whole[_ALL_REGIONS]), needed, "GPUs in all regions"))
    networks = kind.facts.get("networks")
    if networks and _NETWORKS in whole:
        needed = 1 + networks["gvnic"] + bool(networks["mrdma"])
        found.append(_against(door, _NETWORKS, _free(whole[_NETWORKS]), needed, "networks"))
    return found


def quota_code(kind: InstanceType, *, spot: bool) -> str | None:
    """The quota that a type counts against; None where it is not known."""
    families = facts.of("gcp", "quotas")["spot" if spot else "on_demand"]
    fitting = [prefix for prefix in families if kind.name.startswith(f"{prefix}-")]
    return str(families[max(fitting, key=len)]) if fitting else None


def _own(door: Door, region: str, wanted: Wanted, kind: InstanceType) -> Finding:
    """Of the type's own quota in the region."""
    code = quota_code(kind, spot=wanted.spot)
    what = f"{'spot ' if wanted.spot else ''}{kind.name}"
    if code is None:
        return Finding(f"quota of {what}", None, f"look at it yourself: {_page(door.project)}")
    unit, each = ("GPUs", kind.accelerator_count) if "GPU" in code else ("vCPUs", kind.cpus)
    try:
        free = _of_family(door, region, code) if "/" in code else _of_region(door, region, code)
    except SkyrigError as error:
        return Finding(f"quota {code}", None, f"{each * wanted.nodes:g} {unit} are wanted; {error.message}")
    if free is None:
        told = f"{region} does not list it; {each * wanted.nodes:g} {unit} are wanted: {_page(door.project)}"
        return Finding(f"quota {code}", None, told)
    return _against(door, code, free, each * wanted.nodes, f"{unit} in {region}")


def _of_region(door: Door, region: str, metric: str) -> float | None:
    """What is free of a quota that the region lists."""
    quotas: Iterable[Mapping[str, Any]] = door.call("GET", f"regions/{region}").get("quotas", ())
    return next((_free(each) for each in quotas if each["metric"] == metric), None)


def _of_family(door: Door, region: str, code: str) -> float | None:
    """The limit of a quota by family of GPUs; what is used of it is not told."""
    name, _, family = code.partition("/")
    path = f"locations/global/services/compute.googleapis.com/quotaInfos/{name}"
    said = door.call("GET", path, service="cloudquotas").get("dimensionsInfos", ())
    for each in sorted(said, key=lambda each: "gpu_family" not in each.get("dimensions", {})):
        dimensions = each.get("dimensions", {})
        here = dimensions.get("region") == region or region in each.get("applicableLocations", ())
        if here and dimensions.get("gpu_family", family) == family:
            limit = float(each["details"]["value"])
            return float("inf") if limit == _UNLIMITED else limit
    return None


def _free(quota: Mapping[str, Any]) -> float:
    return float(quota["limit"]) - float(quota.get("usage", 0))


def _against(door: Door, code: str, free: float, needed: float, what: str) -> Finding:
    """What is free against what is needed of `what`."""
    told = f"{free:g} {what} free, {needed:g} wanted"
    if free >= needed:
        return Finding(f"quota {code}", True, told)
    return Finding(f"quota {code}", False, f"{told}: ask for more: {_page(door.project)}")


def _page(project: str) -> str:
    return f"https://console.cloud.google.com/iam-admin/quotas?project={project}"
