"""What a cloud's own balancer before the open ports of a cluster costs, and how many ports it is before at most.

`data/CLOUD/balancer.json`: `hourly`, USD an hour of one with its address and with so many ports as `ports` says (not
there: any number), `port_hourly` of each port more; `per_gb`, USD a GB through it, which no hourly price has in it;
`sources`.
"""

from __future__ import annotations

from skyrig.catalog import facts

MOST_PORTS = 20
"""How many ports one is before at most, on every cloud: each is a listener or a rule of its own."""


def hourly(cloud: str, ports: int) -> float:
    """USD an hour of a balancer that is before so many ports; 0 ports: there is none."""
    if not ports:
        return 0.0
    said = facts.of(cloud, "balancer")
    return float(said["hourly"] + max(0, ports - said.get("ports", ports)) * said.get("port_hourly", 0.0))


def wrong(cloud: str, ports: int) -> str:
    """Why a balancer of a cloud is not before so many ports; "" where it can be."""
    if not facts.of(cloud, "balancer"):
        return f"the {cloud} cloud has no balancer of its own"
    return f"a balancer is before {MOST_PORTS} ports at most, and not before {ports}" if ports > MOST_PORTS else ""
