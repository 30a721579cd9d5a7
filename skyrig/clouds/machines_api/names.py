"""Names of what is made for a stack. They are made from stack, owner and node, never by chance: a create that is tried
again meets what the first one made, and two people with stacks of one name do not meet. Pure functions."""

import hashlib
import re

MOST = 60
"""Characters of a name at most."""


def stem(stack: str) -> str:
    """What the names of all things of stacks of this name begin with, whoever they belong to."""
    slug = re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-")
    return f"skyrig-{slug[:18].strip('-') or 's'}-{_digits(stack, 6)}-"


def cluster_name(stack: str, owner: str) -> str:
    """What the names of all things of one stack begin with."""
    return f"{stem(stack)}{_digits(owner, 4)}"


def machine_name(cluster: str, node: str, version: int) -> str:
    """Name of the machine behind a node; another version of the node is another machine."""
    name = f"{cluster}-{node}-v{version}"
    return name if len(name) <= MOST else f"{name[: MOST - 7]}-{_digits(name, 6)}"


def mark(public_key: str) -> str:
    """What a machine is tagged with that was made with a host key: one with another mark is another machine, whatever
    it is called."""
    return _digits(public_key, 16)


def _digits(text: str, count: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:count]
