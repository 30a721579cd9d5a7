"""How nodes reach the internet, and what that costs.

`data/CLOUD/egress.json`: `address_hourly`, USD an hour of a public address in use, `address_idle_hourly` of one that
is not, where that differs; `nat_hourly`, of a NAT gateway;
or `nat_hourly_per_node`, of each node behind it until that is reached; `nat_per_gb`, USD a GB through it;
`internet_per_gb`, USD a GB that leaves the cloud; `between_regions_per_gb`, USD a GB that goes to another of its
regions; `default`, where its nodes have but one way; `sources`.
Kinds are those of `skyrig.cluster.machine.EGRESSES`.
"""

from __future__ import annotations

from skyrig.catalog import facts


def default(nodes: int, cloud: str = "") -> str:
    """What is chosen where nothing is asked for: the head has an address of its own, so one node needs nothing else.
    On a cloud whose nodes have but one way it is that."""
    return str(facts.of(cloud, "egress").get("default") or ("public-outbound" if nodes == 1 else "nat"))


def hourly(cloud: str, kind: str, nodes: int) -> float:
    """USD an hour of a cluster of so many nodes: its gateways and addresses, 0 where the cloud says nothing
    of these. The head always has an address."""
    said = facts.of(cloud, "egress")
    address = said.get("address_hourly", 0.0)
    addresses = nodes if kind == "public-outbound" else 1
    gateway = 0.0
    if kind == "nat":
        most = said.get("nat_hourly", 0.0)
        gateway = min(most, said.get("nat_hourly_per_node", most) * max(nodes - 1, 1)) + address
    return float(addresses * address + gateway)


def per_gb(home: str, home_region: str, cloud: str, region: str) -> float:
    """USD a GB of data that lies in a region of `home` and goes to a region of `cloud`, the first of a month. Regions
    of "" are not known, and taken as the same. 0 where the home says nothing of it."""
    if home == cloud and (not home_region or home_region == region):
        return 0.0
    return float(facts.of(home, "egress").get("between_regions_per_gb" if home == cloud else "internet_per_gb", 0.0))
