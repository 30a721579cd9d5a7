"""`pod_config`: what a task says of its pods. Nearly all of it is Kubernetes' own matter; what is merged with ours has
to be of the form that is merged."""

from __future__ import annotations

from collections.abc import Mapping

from skyrig.task.node import Node

_SECTIONS = ("metadata", "spec")

_OF_A_POD = (
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "tolerations",
    "imagePullSecrets",
    "hostAliases",
    "topologySpreadConstraints",
    "resourceClaims",
)
_OF_A_CONTAINER = ("env", "envFrom", "ports", "volumeMounts", "volumeDevices")
"""Lists whose entries are mappings."""


def pod_config(node: Node) -> None:
    """Note what cannot be merged over a pod of ours; a section that says nothing is none."""
    fields = node.fields()
    for name in _SECTIONS:
        if name in fields and not fields[name].is_null:
            fields[name].read(Node.fields, {})
    spec = fields.get("spec")
    if spec is not None and isinstance(spec.data, dict):
        _lists(spec.fields(), _OF_A_POD)


def _lists(fields: Mapping[str, Node], names: tuple[str, ...]) -> None:
    for name in names:
        listed = fields.get(name)
        if listed is None or listed.is_null:
            continue
        for each in listed.read(Node.items, []):
            inside = each.read(Node.fields, {})
            if name in _OF_A_POD[:3]:
                _lists(inside, _OF_A_CONTAINER)
