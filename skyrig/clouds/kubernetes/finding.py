"""Things of a cluster by what they were to be made from: names are ours, so that each is found by its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyrig.clouds.kubernetes.door import Door

_PLACES = {
    "kubernetes:batch/v1:Job": "/apis/batch/v1/namespaces/{}/jobs/{}",
    "kubernetes:core/v1:ConfigMap": "/api/v1/namespaces/{}/configmaps/{}",
    "kubernetes:core/v1:Secret": "/api/v1/namespaces/{}/secrets/{}",
    "kubernetes:core/v1:Service": "/api/v1/namespaces/{}/services/{}",
    "kubernetes:core/v1:ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts/{}",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/{}",
}
"""Where things of the engine's provider are, by type token. Dynamic resources make nothing, and are none of them."""


def find(door: Door, kind: str, inputs: Mapping[str, Any]) -> str | None:
    """NAMESPACE/NAME of the thing, which is the provider's id of it; None where it is not there."""
    meta = inputs.get("metadata") or {}
    namespace, name = meta.get("namespace"), meta.get("name")
    if kind not in _PLACES or not namespace or not name:
        return None
    return f"{namespace}/{name}" if door.there(_PLACES[kind].format(namespace, name)) is not None else None
