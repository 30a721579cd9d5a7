"""Families of instance types: those that count against one quota, by the cloud's `quotas.json` and by their names."""

from __future__ import annotations

import re

from skyrig.catalog import facts


def of(cloud: str, instance_type: str, *, spot: bool) -> str:
    """A name for the family of a type; the quota that it counts against where that is known."""
    said = facts.of(cloud, "quotas")
    quotas = said.get("spot" if spot else "on_demand", {})
    own = [prefix for prefix in quotas if re.match(rf"{re.escape(prefix)}(?![A-Za-z*])", instance_type)]
    if own:
        return str(quotas[max(own, key=len)])
    if "cores_after" in said:  # names differ within a family by the number of cores
        return re.sub(rf"^({said['cores_after']})[0-9]+", r"\1", instance_type)
    return re.split(r"[.-]", instance_type, maxsplit=1)[0]
