"""What disks cost.

`data/CLOUD/disks.json` has, by the cloud's own name of a type of disk, `gb_month`, USD a GB and month, or `monthly`,
USD a month by the size in GiB that is sold: then a disk is paid for as the next bigger one. `tiers` names the type of
boot disks by tier, or `families` does so by the beginning of an instance type's name.
"""

from __future__ import annotations

from skyrig.catalog import facts

_HOURS_A_MONTH = 730


def boot(cloud: str, instance_type: str, tier: str) -> str:
    """The cloud's name of a boot disk's type; "" where there is none of that tier."""
    said = facts.of(cloud, "disks")
    families = [family for family in said.get("families", {}) if instance_type.startswith(family)]
    if families:
        return str(said["families"][max(families, key=len)].get(tier, ""))
    of_tier = said.get("tiers", {}).get(tier, "")
    return str(of_tier["type"] if isinstance(of_tier, dict) else of_tier)


def hourly(cloud: str, kind: str, size_gb: float) -> float | None:
    """USD an hour of one disk; None where the price is not known."""
    said = facts.of(cloud, "disks")
    each = said.get("gb_month", {}).get(kind)
    if each is not None:
        return size_gb * float(each) / _HOURS_A_MONTH
    sold = said.get("monthly", {}).get(kind, {})
    fitting = [int(size) for size in sold if int(size) >= size_gb]
    return float(sold[str(min(fitting))]) / _HOURS_A_MONTH if fitting else None
