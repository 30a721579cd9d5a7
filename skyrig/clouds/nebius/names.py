"""Names and labels as Nebius takes them. Pure functions.

Names are made from stack and node, never by chance: a create that is tried again meets what the first one made.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

MOST = 63
"""Characters of a name or label at most."""


def cluster_name(stack: str) -> str:
    """What the names of all things of a stack begin with: 25 characters at most, and no other stack's beginning."""
    slug = re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-")
    letters = slug if slug[:1].isalpha() else f"s-{slug}"
    return f"{letters[:18].rstrip('-')}-{hashlib.sha256(stack.encode()).hexdigest()[:6]}"


def machine_name(cluster: str, node: str, version: int) -> str:
    """Name of the machine behind a node; another version of the node is another machine."""
    return f"{cluster}-{node}-v{version}"


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as labels: small letters, digits, ".", "_" and "-" are left of what they say."""
    return {label(name): label(value) for name, value in tags.items()}


def label(text: str) -> str:
    """A tag's name or value as a label."""
    return re.sub(r"[^a-z0-9._-]", "_", text.lower())[:MOST].strip("._-")
