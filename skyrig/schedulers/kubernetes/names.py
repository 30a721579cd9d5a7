"""How things of a stack are called on a Kubernetes cluster, and by which labels they are found again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

STACK, JOB, OWNER, TASK = "skyrig-stack", "skyrig-job", "skyrig-owner", "skyrig-task"
"""Labels of all that is made for a job."""

KEY, NAME, USER, SUBMITTED, NODES = (f"skyrig/{word}" for word in ("key", "name", "user", "submitted-at", "num-nodes"))
"""Annotations of a job: what its record needs, word for word."""

_SHORTENED = 30


def slug(stack: str) -> str:
    """A stack's name as a part of names there: small letters, digits and '-', at most 37 characters. Names that differ
    stay different."""
    plain = re.sub(r"[^a-z0-9-]+", "-", stack.lower()).strip("-")
    if plain == stack and len(plain) <= _SHORTENED and re.match("[a-z]", plain):
        return plain
    mark = hashlib.sha256(stack.encode()).hexdigest()[:6]
    return f"s{mark}-{plain[:_SHORTENED].strip('-')}".rstrip("-")


def job(stack: str, number: int) -> str:
    """The name of a job's JobSet, and the domain of its nodes."""
    return f"{slug(stack)}-{number}"


def ledger(stack: str) -> str:
    """The name of the ConfigMap that knows a stack's job numbers."""
    return f"skyrig-{slug(stack)}"


def label(text: str) -> str:
    """A text as a label's value may be: what cannot stand there becomes '_'."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:63].strip("_.-")


def labels(stack: str, number: int, owner: str, task: str) -> dict[str, str]:
    """The labels of a job's things."""
    return {STACK: slug(stack), JOB: str(number), OWNER: label(owner), TASK: label(task)}


def selector(labels: Mapping[str, str]) -> str:
    """What finds the things that have these labels."""
    return ",".join(f"{name}={value}" for name, value in labels.items())


def hosts(name: str, nodes: int, *, jobset: bool) -> list[str]:
    """The DNS names of a job's nodes in rank order, as they find each other inside the cluster."""
    node = f"{name}-node-0" if jobset else name
    return [f"{node}-{rank}.{name}" for rank in range(nodes)]


def key(text: str) -> str:
    """A submission's key as the ledger knows it."""
    return f"key.{hashlib.sha256(text.encode()).hexdigest()[:24]}"
