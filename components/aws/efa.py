"""Network interfaces of a node by its type: which network cards get Elastic Fabric Adapters, and where. Pure functions.

The layout is the one of AWS's own documentation (EC2 user guide, efa-acc-inst-types): the primary interface is a plain
one, since an EFA-only interface cannot be primary; every card that has EFA gets one EFA-only interface, which takes no
IP address. Only the primary interface then has an address, and all EFA interfaces can share one subnet.
"""

from attrs import frozen

from skyrig.catalog.instances import InstanceType


@frozen
class Interface:
    """One network interface: its network card, its place on that card, and `interface` (addressed) or `efa-only`."""

    card: int
    device: int
    kind: str


PRIMARY = Interface(0, 0, "interface")
"""What every node has, and the only interface with an address."""


def wanted(kind: InstanceType, network_tier: str) -> bool:
    """Whether nodes of a type use EFA."""
    return network_tier == "best" and kind.fabric == "efa"


def known(kind: InstanceType) -> bool:
    """Whether the catalog knows the network cards of a type."""
    return "network_cards" in kind.facts and "efa_max" in kind.facts


def interfaces(kind: InstanceType, network_tier: str) -> tuple[Interface, ...]:
    """The interfaces of a node, the primary one first. Where a type has a card more than it has EFAs (p6-b300), it is
    card 0 that has none."""
    if not wanted(kind, network_tier):
        return (PRIMARY,)
    cards, adapters = kind.facts["network_cards"], kind.facts["efa_max"]
    first = () if cards > adapters else (Interface(0, 1, "efa-only"),)
    return (PRIMARY, *first, *(Interface(card, 0, "efa-only") for card in range(1, cards)))
