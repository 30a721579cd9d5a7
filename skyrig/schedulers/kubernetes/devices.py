"""Accelerators as Kubernetes counts them, and the nodes that have those that a task names: pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from skyrig.catalog import facts
from skyrig.clouds.kubernetes import machines


def of_node(node: Mapping[str, Any]) -> tuple[str, int, str, str]:
    """(resource, how many, label, its value) of a node's accelerators; ("", 0, "", "") of one without. Of the labels
    that tell what accelerators a node has only the first counts."""
    has = _allocatable(node)
    there = machines.counted(has)
    if not there:
        return "", 0, "", ""
    labels = node["metadata"].get("labels") or {}
    listed = (each["label"] for each in facts.of("kubernetes", "devices")["labels"])
    named = next((name for name in listed if name in labels), "")
    return there, int(has[there]), named, labels.get(named, "")


def chosen(nodes: Sequence[Mapping[str, Any]], accelerator: str) -> dict[str, list[str]]:
    """Labels, each with the values that will do, of the nodes that have such accelerators; none where no node says what
    it has, and then any that has as many will do."""
    found: dict[str, set[str]] = {}
    for node in nodes:
        there, _, named, value = of_node(node)
        if there == machines.resource_of(accelerator) and named and same(accelerator, value):
            found.setdefault(named, set()).add(value)
    return {name: sorted(values) for name, values in found.items()}


def fabric(nodes: Sequence[Mapping[str, Any]], accelerator: str) -> tuple[str, dict[str, str]]:
    """The fabric of the nodes that have such accelerators, as data/kubernetes/fabric.json knows it, and what is asked
    for of it; "" where they have none. The first of them stands for all."""
    for node in nodes:
        there, _, named, value = of_node(node)
        if there == machines.resource_of(accelerator) and (not named or same(accelerator, value)):
            return machines.fabric(node["metadata"].get("labels") or {}, _allocatable(node))
    return "", {}


def same(asked: str, there: str) -> bool:
    """Whether a label's value can mean what a task names: `H100` is an `NVIDIA-H100-80GB-HBM3` and an
    `nvidia-h100-80gb`, `A100-80GB` no `nvidia-tesla-a100` of which nothing says how large it is."""
    words = _words(there)
    return bool(asked) and all(word in words for word in _words(asked))


def _allocatable(node: Mapping[str, Any]) -> dict[str, float]:
    listed = node["status"].get("allocatable") or {}
    return {name: machines.quantity(str(text)) for name, text in listed.items()}


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+[0-9]+[a-z]*|[0-9]+gb|[a-z]+", text.lower())
