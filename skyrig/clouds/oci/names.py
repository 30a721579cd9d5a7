"""Names and tags as Oracle Cloud takes them. Pure functions.

Names are made from stack and node, never by chance: a create that is tried again meets what the first one made.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

MOST = 256
"""Characters of a tag's value at most."""

STACK, OWNER, NODE = "skyrig-stack", "skyrig-owner", "skyrig-node"
"""Free-form tags with the stack, who made it, and the node that a thing belongs to."""


def cluster_name(stack: str) -> str:
    """What the names of all things of a stack begin with: 25 characters at most, and no other stack's beginning."""
    slug = re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-")
    letters = slug if slug[:1].isalpha() else f"s-{slug}"
    return f"{letters[:18].rstrip('-')}-{hashlib.sha256(stack.encode()).hexdigest()[:6]}"


def machine_name(cluster: str, node: str, version: int) -> str:
    """Name of the machine behind a node; another version of the node is another machine."""
    return f"{cluster}-{node}-v{version}"


def freeform(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as free-form tags, which take any text."""
    return {name[:100]: value[:MOST] for name, value in tags.items()}


def tags_of(described: Mapping[str, Any]) -> dict[str, str]:
    """The free-form tags of a thing."""
    return dict(described.get("freeformTags") or {})
