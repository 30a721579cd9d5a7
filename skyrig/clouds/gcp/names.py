"""Names and labels as Google Cloud takes them. Pure functions.

Names are made from stack and node, never by chance: a create that is tried again meets what the first one made.
"""

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


def tagged_as(stack: str) -> str:
    """What a stack's name is made into in labels."""
    return cluster_name(stack)


def machine_name(cluster: str, node: str, version: int) -> str:
    """Name of the machine behind a node; another version of the node is another machine."""
    return f"{cluster}-{node}-v{version}"


def role_id(cluster: str) -> str:
    """Id of the cluster's custom role: letters, digits and underscores."""
    return f"skyrig_{cluster.replace('-', '_')}"


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as labels: small letters, digits, "_" and "-" are left of what they say."""
    return {label(name): label(value) for name, value in tags.items()}


def account_email(cluster: str, project: str) -> str:
    """Name of the cluster's service account. A project of an old organization is called ORGANIZATION:NAME."""
    return f"{cluster}@{'.'.join(reversed(project.split(':')))}.iam.gserviceaccount.com"


def described(tags: Mapping[str, str]) -> str:
    """Tags as the description of what carries no labels: networks, firewall rules, routers. Another description of a
    network is another network to Google Cloud, so changes of it are to be ignored."""
    return " ".join(f"{name}={value}" for name, value in sorted(tags.items()))


def label(text: str) -> str:
    """A tag's name or value as a label."""
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())[:MOST]
