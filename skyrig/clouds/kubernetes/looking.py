"""Looking at a cluster's machines through its API."""

from __future__ import annotations

from collections.abc import Sequence

from skyrig.clouds.kubernetes import machines as seen
from skyrig.clouds.kubernetes.door import Door, Forbidden
from skyrig.clouds.kubernetes.machines import Machine, Toleration

_TIMEOUT_S = 8.0
"""How long a cluster may take to answer: one that is away must not hold up those who look for offers."""


def machines(context: str, tolerations: Sequence[Toleration] = ()) -> list[Machine]:
    """The machines of a cluster that take pods with such tolerations, with what is free of each. Where the pods of
    other namespaces may not be seen, those of the context's own alone are counted. NotUsable and Forbidden say why
    nothing can be seen."""
    with Door(context, tries=1, timeout_s=_TIMEOUT_S) as door:
        nodes = list(door.listed("/api/v1/nodes"))
        try:
            pods = list(door.listed("/api/v1/pods"))
        except Forbidden:
            pods = list(door.listed(f"/api/v1/namespaces/{door.context.namespace}/pods"))
        return seen.seen(nodes, pods, tolerations)
