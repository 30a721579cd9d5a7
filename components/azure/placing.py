"""What holds the machines of a cluster together, by their type and by how they are paid for. Pure functions.

Machines share one InfiniBand partition when they are in one availability set or one scale set. Separate machines go
with an availability set (Microsoft's table of orchestration modes: InfiniBand yes), but that takes no spot machines; a
flexible scale set does (same table: InfiniBand no; seen to work, docs/fabric.md).
"""

from skyrig.catalog.instances import InstanceType
from skyrig.cluster.machine import Capacity

AVAILABILITY_SET = "availability-set"
SCALE_SET = "scale-set"
PROXIMITY = "proximity"
NONE = "none"

MOST = {AVAILABILITY_SET: 200, SCALE_SET: 1000, PROXIMITY: 1000, NONE: 1000}
"""Most machines in one (orchestration-modes.md; the last two are bounds of ours)."""


def placing(kind: InstanceType, network_tier: str, capacity: Capacity) -> str:
    """What to put machines of a type into: nothing with network tier standard."""
    if network_tier != "best":
        return NONE
    if kind.fabric == "infiniband":
        return SCALE_SET if capacity.kind == "spot" else AVAILABILITY_SET
    # A reservation takes no proximity placement group (capacity-reservation-overview.md).
    return NONE if capacity.kind == "reservation" else PROXIMITY


def remark(kind: InstanceType, network_tier: str, capacity: Capacity) -> str:
    """What the user should know of the network before anything is made; "" where it is as asked for."""
    if network_tier == "best" and kind.fabric != "none" and capacity.kind == "spot":
        return (
            "spot machines share InfiniBand through a flexible scale set, which works where it was tried and which "
            "Microsoft's documentation denies: look for NET/IB in the first run with NCCL_DEBUG=INFO"
        )
    return ""
