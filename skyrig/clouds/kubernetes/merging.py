"""What a task says of its pods, over what we say of them: as SkyPilot merges `pod_config`. Pure functions.

Sections are merged field by field. A list whose entries have a name is merged by that name (`_KEYS`); any other one is
lengthened. Of `containers` an entry without a name, or with ours or SkyPilot's, is about our one; others come beside.
(skypilot-org/skypilot sky/utils/config_utils.py, merge_k8s_configs. Unlike there, mounts are told apart by their place,
so that one volume may be seen at two, and pull secrets by their name.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_KEYS = {
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "resourceClaims": "name",
    "imagePullSecrets": "name",
    "env": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "ports": "containerPort",
}
"""The field by which entries of a list are told apart, by the list's name."""

OURS = "node"
"""Name of our container."""

_STAYS = ("metadata", "labels", "annotations", "spec", "resources")
"""Sections that no pod of ours is without: `resources:` with nothing below it takes no accelerators away."""

_NAMES_OF_OURS = (None, "", OURS, "ray-node")


def tolerations(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tolerations that a task's section `kubernetes` asks for."""
    spec = (said.get("pod_config") or {}).get("spec") or {}
    return list(spec.get("tolerations") or ())


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with `above` merged over it."""
    return {**below, **{key: _merged_field(key, below.get(key), value) for key, value in above.items()}}


def _merged_field(key: str, below: Any, above: Any) -> Any:
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        return merged(below, above)
    if above is None and key in _STAYS and below is not None:
        return below
    if not isinstance(above, list) or not isinstance(below, list):
        return above
    if key == "containers":
        named = [each if each.get("name") not in _NAMES_OF_OURS else {**each, "name": OURS} for each in above]
        return _by_name(below, named, "name")
    return _by_name(below, above, _KEYS[key]) if key in _KEYS else [*below, *(each for each in above)]


def _by_name(below: Sequence[Mapping[str, Any]], above: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    found = list(below)
    for each in above:
        name = each.get(key)
        place = next((i for i, there in enumerate(found) if name is not None and there.get(key) == name), None)
        if place is None:
            found.append(each)
        else:
            found[place] = merged(found[place], each)
    return found
