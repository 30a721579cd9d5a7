"""Boot volumes of nodes: their tiers are data/oci/disks.json. Pure functions."""

from skyrig.catalog import disks

_PREFIX = "vpus-"


def vpus(instance_type: str, tier: str) -> int:
    """Volume performance units per GB of a tier; 0 where there is no such tier."""
    kind = disks.boot("oci", instance_type, tier)
    return int(kind.removeprefix(_PREFIX)) if kind else 0
