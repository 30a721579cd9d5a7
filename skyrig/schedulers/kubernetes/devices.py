"""Accelerators as Kubernetes counts them, and the nodes that have those that a task names: pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from skyrig.clouds.kubernetes import machines

_NAMED_BY = (
    "skypilot.co/accelerator",
    "cloud.google.com/gke-accelerator",
    "nvidia.com/gpu.product",
    "amd.com/gpu.product-name",
    "cloud.google.com/gke-tpu-accelerator",
    "node.kubernetes.io/instance-type",
)
"""Labels of nodes that tell what accelerators they have, the plainest first; only the first that a node has counts."""

_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu", "google.com/tpu", "aws.amazon.com/neuron", "habana.ai/gaudi")


def resource(accelerator: str) -> str:
    """The resource that such accelerators are counted as."""
    name = accelerator.lower()
    if name.startswith("mi") and name[2:3].isdigit():
        return "amd.com/gpu"
    if name.startswith(("tpu", "v5", "v6")):
        return "google.com/tpu"
    if name.startswith(("trainium", "inferentia", "trn", "inf")):
        return "aws.amazon.com/neuron"
    return "habana.ai/gaudi" if name.startswith("gaudi") else "nvidia.com/gpu"


def of_node(node: Mapping[str, Any]) -> tuple[str, int, str, str]:
    """(resource, how many, label, its value) of a node's accelerators; ("", 0, "", "") of one without."""
    has = node["status"].get("allocatable") or {}
    there = next((name for name in _RESOURCES if int(has.get(name, 0)) > 0), "")
    if not there:
        return "", 0, "", ""
    labels = node["metadata"].get("labels") or {}
    named = next((name for name in _NAMED_BY if name in labels), "")
    return there, int(has[there]), named, labels.get(named, "")


def chosen(nodes: Sequence[Mapping[str, Any]], accelerator: str) -> dict[str, list[str]]:
    """Labels, each with the values that will do, of the nodes that have such accelerators; none where no node says what
    it has, and then any that has as many will do."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        there, _, named, value = of_node(node)
        if there == resource(accelerator) and named and same(accelerator, value) and value not in found.get(named, []):
            found.setdefault(named, []).append(value)
    return {name: sorted(values) for name, values in found.items()}


def fabric(nodes: Sequence[Mapping[str, Any]], accelerator: str) -> tuple[str, dict[str, str]]:
    """The fabric of the nodes that have such accelerators, as data/kubernetes/fabric.json knows it, and what is asked
    for of it; "" where they have none. The first of them stands for all."""
    for node in nodes:
        there, _, named, value = of_node(node)
        if there == resource(accelerator) and (not named or same(accelerator, value)):
            has = {name: machines.quantity(str(text)) for name, text in node["status"]["allocatable"].items()}
            return machines.fabric(node["metadata"].get("labels") or {}, has)
    return "", {}


def same(asked: str, there: str) -> bool:
    """Whether a label's value can mean what a task names: `H100` is an `NVIDIA-H100-80GB-HBM3` and an
    `nvidia-h100-80gb`, `A100-80GB` no `nvidia-tesla-a100` of which nothing says how large it is."""
    words = _words(there)
    return bool(asked) and all(word in words for word in _words(asked))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+[0-9]+[a-z]*|[0-9]+gb|[a-z]+", text.lower())
