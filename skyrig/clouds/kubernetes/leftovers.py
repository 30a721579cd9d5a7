"""What a cluster still has of a stack, by its labels, and its removal. Nothing of it has a price of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from skyrig.clouds.cloud import Leftover, SeenMachine, Tagged, TaggedStack, by_owner
from skyrig.clouds.kubernetes import kubeconfig, seen
from skyrig.clouds.kubernetes.door import Door, Forbidden
from skyrig.clouds.kubernetes.names import CLUSTER, NODE, OWNER, STACK, cluster_name
from skyrig.errors import SkyrigError

Object = Mapping[str, Any]

KINDS = {
    "job": "/apis/batch/v1/namespaces/{}/jobs",
    "machine": "/api/v1/namespaces/{}/pods",
    "service": "/api/v1/namespaces/{}/services",
    "network policy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "config map": "/api/v1/namespaces/{}/configmaps",
    "secret": "/api/v1/namespaces/{}/secrets",
    "service account": "/api/v1/namespaces/{}/serviceaccounts",
}
"""What a cluster of pods is made of, in the order of removal."""

_NAME = "skyrig/stack"
"""Annotation with the stack's name as it is."""


def of_stack(door: Door, namespace: str, stack: str) -> list[Leftover]:
    """All that is there of a stack; what is being deleted is not counted, nor a pod that has ended."""
    found = _labelled(door, namespace, f"{CLUSTER}={cluster_name(stack)}")
    return [_left(kind, each) for kind, each in found]


def machines(door: Door, namespace: str, stack: str) -> list[SeenMachine]:
    """The pods of a stack that run or are to run."""
    pods = door.listed(KINDS["machine"].format(namespace), f"{CLUSTER}={cluster_name(stack)}")
    return [_machine(each) for each in pods if _counts("machine", each)]


def everything(context: str) -> Tagged:
    """All that Skyrig has made in the namespace of a context."""
    with Door(context) as door:
        account = door.context.account
        stacks: dict[str, list[Leftover]] = {}
        for kind, each in _labelled(door, door.context.namespace, CLUSTER):
            stacks.setdefault(_stack(each), []).append(_left(kind, each))
    made = [
        TaggedStack(stack, "kubernetes", context, account, left=tuple(left)) for stack, left in sorted(stacks.items())
    ]
    return Tagged(tuple(one for each in made for one in by_owner(each)), account=account)


def tagged(region: str | None, names: Sequence[str]) -> Tagged:
    """The same of one context, or of all in `names`: what does not answer is told then."""
    if region is not None:
        return everything(region)
    stacks: list[TaggedStack] = []
    unseen = []
    for name in names:
        try:
            stacks += everything(name).stacks
        except SkyrigError as error:
            unseen.append(str(error))
    account = kubeconfig.find("").account if kubeconfig.current() else ""
    return Tagged(tuple(stacks), tuple(unseen), account)


def remove(door: Door, left: Sequence[Leftover]) -> None:
    """Remove it kind by kind. What the cluster refuses to remove now stays, and is listed again."""
    for kind in KINDS:
        for each in left:
            if each.kind == kind:
                _remove(door, each.id)


def _remove(door: Door, path: str) -> None:
    try:
        door.call("DELETE", path, {"propagationPolicy": "Background"})
    except SkyrigError:
        return  # it is found again, and named


def _labelled(door: Door, namespace: str, labels: str) -> Iterator[tuple[str, Object]]:
    """What has such labels, with its kind and its path; kinds that may not be seen are not ours to leave."""
    for kind, path in KINDS.items():
        at = path.format(namespace)
        try:
            items = list(door.listed(at, labels))
        except Forbidden:
            continue
        for each in items:
            if _counts(kind, each):
                yield kind, {**each, "path": f"{at}/{each['metadata']['name']}"}


def _counts(kind: str, each: Object) -> bool:
    if each["metadata"].get("deletionTimestamp"):
        return False
    return kind != "machine" or each.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def _left(kind: str, each: Object) -> Leftover:
    meta = each["metadata"]
    since = datetime.fromisoformat(meta["creationTimestamp"].replace("Z", "+00:00")).timestamp()
    owner = meta.get("annotations", {}).get("skyrig/owner") or meta.get("labels", {}).get(OWNER, "")
    return Leftover(kind, each["path"], 0.0, owner, since)


def _stack(each: Object) -> str:
    meta = each["metadata"]
    return str(meta.get("annotations", {}).get(_NAME) or meta.get("labels", {}).get(STACK) or meta["labels"][CLUSTER])


def _machine(pod: Object) -> SeenMachine:
    found = seen.seen(pod)
    node = pod["metadata"].get("labels", {}).get(NODE, "")
    return SeenMachine(node_id=node, machine=found.uid, power="up", private=found.ip)
