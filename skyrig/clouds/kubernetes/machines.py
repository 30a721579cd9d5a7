"""The machines of a cluster, and what is free of them: pure functions of what the API says of nodes and pods."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from skyrig.catalog import facts

Object = Mapping[str, Any]
Toleration = Mapping[str, Any]

_SUFFIXES = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "n": 1e-9, "u": 1e-6,
             "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60}  # fmt: skip
_GIB = 2.0**30


@frozen
class Machine:
    """One node of a cluster: `free` is what is left of `has`, by resource, memory in bytes. `accelerator` is SkyPilot's
    name ("": none), `resource` how it is counted, `select` the label that tells it with the value that it has here;
    `fabric` a kind of kubernetes/fabric.json ("": none), `devices` what is to be asked for to have it."""

    name: str
    has: Mapping[str, float]
    free: Mapping[str, float]
    accelerator: str = ""
    resource: str = ""
    select: tuple[str, str] = ("", "")
    fabric: str = ""
    devices: Mapping[str, str] = field(factory=dict)
    arch: str = "x86_64"

    @property
    def cpus(self) -> float:
        """Cores that are free."""
        return self.free.get("cpu", 0.0)

    @property
    def memory_gib(self) -> float:
        """Memory that is free."""
        return self.free.get("memory", 0.0) / _GIB

    @property
    def accelerators(self) -> int:
        """How many accelerators are free."""
        return int(self.free.get(self.resource, 0.0)) if self.accelerator else 0


def quantity(text: str) -> float:
    """An amount as Kubernetes writes it: 500m, 16Gi, 4; 0 for what is none."""
    match = re.fullmatch(r"([0-9.]+(?:[eE][0-9]+)?)([numkMGTPE]|[KMGTPE]i)?", text)
    return float(match[1]) * _SUFFIXES[match[2] or ""] if match else 0.0


def seen(nodes: Iterable[Object], pods: Iterable[Object], tolerations: Sequence[Toleration] = ()) -> list[Machine]:
    """The machines that take pods with such tolerations beside ours, with what the pods that are there leave."""
    taken: dict[str, dict[str, float]] = {}
    for pod in pods:
        where = pod.get("spec", {}).get("nodeName")
        if where and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            for resource, amount in requested(pod).items():
                taken.setdefault(where, {})[resource] = taken.get(where, {}).get(resource, 0.0) + amount
    return [
        _machine(node, taken.get(node["metadata"]["name"], {}))
        for node in nodes
        if is_up(node) and not kept_by(node, tolerations)
    ]


def is_up(node: Object) -> bool:
    """Whether a node is ready, and pods may be placed there."""
    conditions = node.get("status", {}).get("conditions", ())
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not node.get("spec", {}).get("unschedulable")


def kept_by(node: Object, tolerations: Sequence[Toleration] = ()) -> list[str]:
    """The keys of the taints that keep pods with such tolerations away: taints of devices are borne by ours."""
    borne = {key for keys in facts.of("kubernetes", "devices")["taints"].values() for key in keys}
    return [
        each["key"]
        for each in node.get("spec", {}).get("taints", ())
        if each["effect"] != "PreferNoSchedule"
        and each["key"] not in borne
        and not any(_bears(toleration, each) for toleration in tolerations)
    ]


def _bears(toleration: Toleration, taint: Object) -> bool:
    """Whether one toleration is of a taint, by Kubernetes' own rule."""
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def requested(pod: Object) -> dict[str, float]:
    """What a pod takes of its machine: the sum of its containers, or its largest step of beginning where that is more;
    sidecars, which begin before and stay, count with the containers."""
    spec = pod.get("spec", {})
    begins = spec.get("initContainers", ())
    stays = [*spec.get("containers", ()), *(each for each in begins if each.get("restartPolicy") == "Always")]
    found: dict[str, float] = {}
    for each in stays:
        for resource, amount in _requests(each).items():
            found[resource] = found.get(resource, 0.0) + amount
    for each in begins:
        for resource, amount in _requests(each).items():
            found[resource] = max(found.get(resource, 0.0), amount)
    for resource, text in (spec.get("overhead") or {}).items():
        found[resource] = found.get(resource, 0.0) + quantity(str(text))
    return found


def resource_of(accelerator: str) -> str:
    """The name under which Kubernetes counts an accelerator, in whatever letters it is written."""
    listed = facts.of("kubernetes", "devices")["resources"]
    named = (each["resource"] for each in listed if re.fullmatch(each["accelerators"], accelerator, re.IGNORECASE))
    return str(next(named))


def counted(has: Mapping[str, float]) -> str:
    """The resource as which a node's accelerators are counted; "" of one without."""
    known = {each["resource"] for each in facts.of("kubernetes", "devices")["resources"]}
    return next((name for name in sorted(known) if has.get(name)), "")


def accelerator(labels: Mapping[str, str], has: Mapping[str, float]) -> tuple[str, str, tuple[str, str]]:
    """The accelerator of a node, how it is counted, and the label that tells it; "" where it has none or does not say
    which."""
    resource = counted(has)
    if not resource:
        return "", "", ("", "")
    for each in facts.of("kubernetes", "devices")["labels"]:
        value = labels.get(each["label"], "")
        name = _named(value, each) if value else ""
        if name:
            return name, resource, (each["label"], value)
    return "", resource, ("", "")


def fabric(labels: Mapping[str, str], has: Mapping[str, float]) -> tuple[str, dict[str, str]]:
    """The fabric that a node has, by its labels and by what can be had there, and what is to be asked for; "" where it
    has none."""
    said = facts.of("kubernetes", "fabric")
    for kind in said["order"]:
        found = _devices(said[kind], has)
        by_label = [each for each in (said[kind].get("labels"), *said[kind].get("or_labels", ())) if each]
        if found or any(_has_labels(labels, each) for each in by_label):
            also = {
                name: text for name, text in said[kind].get("also", {}).items() if has.get(name, 0) >= quantity(text)
            }
            return kind, {**found, **also}
    return "", {}


def _machine(node: Object, taken: Mapping[str, float]) -> Machine:
    labels = node["metadata"].get("labels", {})
    has = {name: quantity(str(text)) for name, text in node.get("status", {}).get("allocatable", {}).items()}
    name, resource, select = accelerator(labels, has)
    kind, devices = fabric(labels, has) if name else ("", {})
    return Machine(
        name=node["metadata"]["name"],
        has=has,
        free={each: max(0.0, amount - taken.get(each, 0.0)) for each, amount in has.items()},
        accelerator=name,
        resource=resource,
        select=select,
        fabric=kind,
        devices=devices,
        arch="arm64" if labels.get("kubernetes.io/arch") == "arm64" else "x86_64",
    )


def _requests(container: Object) -> dict[str, float]:
    resources = container.get("resources", {})
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity(str(text)) for name, text in asked.items()}


def _named(value: str, said: Mapping[str, Any]) -> str:
    """SkyPilot's name of the accelerator that a label's value tells; "" where it tells none."""
    if value in said.get("values", {}):
        return str(said["values"][value])
    match = re.fullmatch(said["pattern"], value) if "pattern" in said else None
    if match:
        name = str(said["name"]).format(*match.groups()).replace("_", "-")
        return name.upper() if said.get("any_case") else name
    return value.upper() if said.get("any_case") and "pattern" not in said else ""


def _devices(said: Mapping[str, Any], has: Mapping[str, float]) -> dict[str, str]:
    pattern = said.get("resource")
    names = sorted(name for name, amount in has.items() if pattern and amount and re.fullmatch(pattern, name))
    if not names:
        return {}
    return {names[0]: f"{has[names[0]]:g}" if said["share"] == "all" else str(said["share"])}


def _has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(
        any(re.fullmatch(key, name) and re.fullmatch(pattern, value) for name, value in labels.items())
        for key, pattern in wanted.items()
    )
