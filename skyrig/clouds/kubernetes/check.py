"""Whether a cluster can be used from here: that it answers, what one may do there, and what it has."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from skyrig.clouds.cloud import Finding, NotUsable, Wanted
from skyrig.clouds.kubernetes import kubeconfig, machines, podspec, stock
from skyrig.clouds.kubernetes.door import Door, Forbidden
from skyrig.clouds.kubernetes.machines import Machine
from skyrig.errors import SkyrigError

RIGHTS = (
    ("batch", "jobs", "create"),
    ("batch", "jobs", "delete"),
    ("", "pods", "list"),
    ("", "pods/portforward", "create"),
    ("", "services", "create"),
    ("", "secrets", "create"),
    ("", "configmaps", "create"),
    ("", "serviceaccounts", "create"),
    ("networking.k8s.io", "networkpolicies", "create"),
)
"""What whoever makes a cluster of pods must be allowed in its namespace: API group, resource, verb."""

_LOOKS = ("", "nodes", "list")
"""What is wanted beside, to know what there is."""

_MORE = {"Kueue": "/apis/kueue.x-k8s.io", "JobSet": "/apis/jobset.x-k8s.io"}


def missing() -> str:
    """What is missing here for using clusters; "" where nothing is. By files alone."""
    if find_spec("kr8s") is None or find_spec("pulumi_kubernetes") is None:
        return "its packages are not installed: `./rig setup kubernetes` does that"
    if not kubeconfig.files():
        return "there is no kubeconfig: KUBECONFIG names none, and ~/.kube/config is not there"
    try:
        return "" if kubeconfig.contexts() else "the kubeconfig has no context"
    except NotUsable as error:
        return error.message


def findings(region: str, wanted: Wanted | None) -> list[Finding]:
    """All that can be known before anything is made: whether the cluster answers first."""
    if reason := missing():
        return [Finding("kubeconfig", False, reason)]
    try:
        with Door(region or next(iter(stock.allowed()), "")) as door:
            version = door.call("GET", "/version").get("gitVersion", "unknown")
            first = Finding("API", True, f"{door.context.name}: {version}, namespace {door.context.namespace}")
            return [first, *_rights(door), *_machines(door, wanted), *_extras(door)]
    except SkyrigError as error:
        return [Finding("API", False, str(error))]


def _rights(door: Door) -> Iterator[Finding]:
    for group, resource, verb in RIGHTS:
        may = _may(door, group, resource, verb, door.context.namespace)
        said = "" if may else f"not allowed in {door.context.namespace}: docs/clouds/kubernetes.md has the Role"
        yield Finding(f"{verb} {resource}", may, said)


def _may(door: Door, group: str, resource: str, verb: str, namespace: str) -> bool | None:
    """Whether that is allowed; None where nobody says."""
    name, _, part = resource.partition("/")
    attributes = {"group": group, "resource": name, "subresource": part, "verb": verb, "namespace": namespace}
    spec = {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
    asked = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    try:
        said = door.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=asked)
    except SkyrigError:
        return None
    return bool(said.get("status", {}).get("allowed"))


def _machines(door: Door, wanted: Wanted | None) -> Iterator[Finding]:
    """What its nodes have, and whether so many of what is wanted are there now."""
    try:
        nodes = list(door.listed("/api/v1/nodes"))
        there = machines.seen(nodes, list(door.listed("/api/v1/pods")))
    except Forbidden:
        yield Finding("nodes", None, "they may not be seen, so there are no offers: name the context as --infra")
        return
    yield Finding("nodes", bool(there), _counted(there))
    taints = [kept for node in nodes if machines.is_up(node) and (kept := machines.kept_by(node))]
    if taints:
        keys = ", ".join(sorted({key for kept in taints for key in kept}))
        told = f"{len(taints)} more are for those who tolerate {keys}: config.kubernetes.pod_config.spec.tolerations"
        yield Finding("taints", None, told)
    fabrics = sorted({each.fabric for each in there if each.fabric})
    if fabrics:
        yield Finding("fabric", True, ", ".join(fabrics))
    if wanted is not None:
        size = podspec.size_of(wanted.instance_type)
        fits = [each for each in there if each.cpus >= size.cpus and each.memory_gib >= size.memory_gib
                and (not size.accelerators or (each.accelerator.lower(), each.accelerators >= size.accelerators)
                     == (size.accelerator.lower(), True))]  # fmt: skip
        yield Finding(wanted.instance_type, bool(fits) or None, f"nodes with room for one now: {len(fits)}")


def _counted(there: list[Machine]) -> str:
    kinds = sorted({each.accelerator for each in there if each.accelerator})
    told = [f"{sum(each.accelerators for each in there if each.accelerator == kind)} {kind} free" for kind in kinds]
    unknown = sum(1 for each in there if each.resource and not each.accelerator)
    if unknown:
        told.append(f"{unknown} with accelerators that no known label tells")
    return ", ".join([f"{len(there)} that take pods", *told])


def _extras(door: Door) -> Iterator[Finding]:
    """What the cluster may have beside."""
    for name, path in _MORE.items():
        there = bool(door.call("GET", path))
        yield Finding(name, True if there else None, "" if there else "not there; needed by who asks for it alone")
    yield Finding("/dev/fuse", None, "pods have none, so buckets are copied (mode COPY) unless pod_config gives it")
