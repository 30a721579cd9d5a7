"""Address ranges of subnets. Pure functions."""

import ipaddress
import itertools

MAIN = "10.128.0.0/20"
"""Range of the subnet that a cluster makes for itself: 4092 nodes."""

_POOL = ipaddress.IPv4Network("10.0.0.0/9")
_PREFIX = 20


def fabric_ranges(count: int, taken: str = MAIN) -> list[str]:
    """Ranges for `count` subnets of a fabric, each of 4092 nodes, none of which overlaps the `taken` one: a node has an
    interface in each of them. ValueError where that one leaves no room."""
    main = ipaddress.IPv4Network(taken)
    free = (each for each in _POOL.subnets(new_prefix=_PREFIX) if not each.overlaps(main))
    found = [str(each) for each in itertools.islice(free, count)]
    if len(found) < count:
        raise ValueError(f"{taken} leaves no room for {count} subnets of the fabric in {_POOL}")
    return found
