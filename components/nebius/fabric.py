"""InfiniBand fabrics by type and region. Pure functions; the names are `facts.fabrics` of data/nebius/types.json."""

from components.wanted import MachineArgs
from skyrig.catalog import fabrics, instances
from skyrig.catalog.instances import InstanceType


def fabrics_in(kind: InstanceType, region: str) -> list[str]:
    """The fabrics of a region that machines of a type are on."""
    return [str(name) for name in kind.facts.get("fabrics", {}).get(region, ())]


def wanted(machine: MachineArgs) -> str:
    """The fabric that a cluster's machines shall be on: the one that the zone names, else the region's first; "" where
    none was asked for, or the type has none."""
    kind = instances.find("nebius", machine["instance_type"])
    if fabrics.of(kind, machine["network_tier"]).kind == "none":
        return ""
    return machine["zone"] or fabrics_in(kind, machine["region"])[0]
