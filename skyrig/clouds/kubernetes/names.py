"""Names and labels as Kubernetes takes them. Pure functions.

Names are made from stack and node, never by chance: a create that is tried again meets what the first one made.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

MOST = 63
"""Characters of a label at most, and of a host name."""

_MOST_JOB = 48
"""Characters of a Job's name before its run at most: the pods' own names are longer."""

STACK, NODE, CLUSTER, OWNER = "skyrig-stack", "skyrig-node", "skyrig-cluster", "skyrig-owner"
"""Labels of ours: the stack, the node, what all names of the stack's things begin with, and who made it."""


def cluster_name(stack: str) -> str:
    """What the names of all things of a stack begin with: 25 characters at most, and no other stack's beginning."""
    slug = re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-")
    letters = slug if slug[:1].isalpha() else f"s-{slug}"
    return f"{letters[:18].rstrip('-')}-{hashlib.sha256(stack.encode()).hexdigest()[:6]}"


def job_name(cluster: str, gang: str, run: str) -> str:
    """Name of the Job that is the `run` of a gang; another run of it is another Job."""
    plain = f"{cluster}-{gang}"
    if len(plain) > _MOST_JOB:
        plain = f"{plain[: _MOST_JOB - 7].rstrip('-')}-{hashlib.sha256(gang.encode()).hexdigest()[:6]}"
    return f"{plain}-{run}"


def secret_name(cluster: str, gang: str) -> str:
    """Name of the Secret with the host keys of a gang."""
    return job_name(cluster, gang, "host")


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as labels: what they can say of it; those that are left empty are left out."""
    made = {_key(name): label(value) for name, value in tags.items()}
    return {name: value for name, value in made.items() if name and value}


def label(text: str) -> str:
    """The value of a tag as a label has it."""
    return re.sub(r"[^a-z0-9._-]", "_", text.lower())[:MOST].strip("._-")


def selector(wanted: Mapping[str, str]) -> str:
    """Labels that are asked for, as a request has them."""
    return ",".join(f"{name}={value}" for name, value in sorted(wanted.items()))


def _key(name: str) -> str:
    prefix, slash, last = name.rpartition("/")
    own = re.sub(r"[^A-Za-z0-9._-]", "_", last)[:MOST].strip("._-")
    return f"{prefix}/{own}" if slash and re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?", prefix) else own
