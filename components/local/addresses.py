"""Addresses of local nodes inside their cluster: a function of the node id alone, so that nodes do not depend on
each other."""

import ipaddress
import re
import zlib
from collections.abc import Iterable

from skyrig.errors import BadInput

NETWORK = ipaddress.IPv4Network("10.31.0.0/16")
_NUMBERED = 32_000
_FIRST = 10
_NAMED_FIRST = 32_768
_NAMED = 32_000


def address(node_id: str) -> str:
    """Address of `node_id`: by its number for n0, n1, ...; by a checksum of the name for any other."""
    numbered = re.fullmatch(r"n(0|[1-9][0-9]{0,4})", node_id)
    if numbered and int(numbered[1]) < _NUMBERED:
        return str(NETWORK[_FIRST + int(numbered[1])])
    return str(NETWORK[_NAMED_FIRST + zlib.crc32(node_id.encode()) % _NAMED])


def addresses(node_ids: Iterable[str]) -> dict[str, str]:
    """Addresses by node id; BadInput where two ids fall on one address."""
    taken: dict[str, str] = {}
    for node_id in node_ids:
        other = taken.setdefault(address(node_id), node_id)
        if other != node_id:
            raise BadInput(f"nodes {other!r} and {node_id!r} get the same address", hint="name one of them otherwise")
    return {node_id: where for where, node_id in taken.items()}
