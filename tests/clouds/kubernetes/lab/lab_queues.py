"""A stand-in for Kueue: Jobs and JobSets with a queue's label are held until all their pods fit its quota, all or none.

As with Kueue itself each has a Workload, whose conditions say how it stands (QuotaReserved, Admitted, Finished). Not
here: cohorts, borrowing, preemption, several resource groups, topology, plain pods.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from lab_client import Client, Object
from lab_jobsets import VERSION as JOBSETS
from lab_round import condition, ended, is_true, owned_by, set_condition

VERSION = "kueue.x-k8s.io/v1beta1"
LABEL = "kueue.x-k8s.io/queue-name"
_KINDS = (("batch/v1", "Job", "job", "jobs"), (JOBSETS, "JobSet", "jobset", "jobsets"))


def held() -> list[Object]:
    """What has the API server suspend whatever is made with a queue's label, as Kueue's webhooks do."""
    resources = [
        {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [name]}
        for group, name in (("batch", "jobs"), ("jobset.x-k8s.io", "jobsets"))
    ]
    labelled = f"has(object.metadata.labels) && '{LABEL}' in object.metadata.labels"
    free = "!has(object.metadata.ownerReferences) || object.metadata.ownerReferences.all(o, o.kind != 'JobSet')"
    spec = {
        "matchConstraints": {"resourceRules": resources},
        "matchConditions": [{"name": "queued", "expression": labelled}, {"name": "own", "expression": free}],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [
            {
                "patchType": "JSONPatch",
                "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/spec/suspend', value: true}]"},
            }
        ],
    }
    root = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "lab-queues"}}
    bound = {**root, "kind": "MutatingAdmissionPolicyBinding", "spec": {"policyName": "lab-queues"}}
    return [{**root, "kind": "MutatingAdmissionPolicy", "spec": spec}, bound]


def look(client: Client) -> None:
    """Bring every queue one step on, older things first."""
    workloads = client.all(VERSION, "Workload", "")
    things = sorted(_queued(client), key=lambda each: (each["metadata"]["creationTimestamp"], each["metadata"]["name"]))
    for thing in things:
        own = next((each for each in workloads if owned_by(each, thing)), None)
        if own is None:
            own = _register(client, thing)
            workloads.append(own)
        if ended(thing) is not None:
            if not is_true(own, "Finished"):
                set_condition(client, own, condition("Finished", "True", "JobFinished", f"it is {ended(thing)}"))
        elif is_true(own, "Admitted"):
            if thing["spec"].get("suspend"):
                client.patch(thing, {"spec": {"suspend": False}})
        elif thing["spec"].get("suspend"):
            _consider(client, own, workloads)


def _queued(client: Client) -> Iterable[Object]:
    for version, kind, _, resource in _KINDS:
        if (
            version == JOBSETS
            and client.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{resource}.jobset.x-k8s.io") is None
        ):
            continue
        for each in client.all(version, kind, "", LABEL):
            if not each["metadata"].get("ownerReferences") and "deletionTimestamp" not in each["metadata"]:
                yield each


def _register(client: Client, thing: Object) -> Object:
    meta = thing["metadata"]
    short = next(short for _, kind, short, _ in _KINDS if kind == thing["kind"])
    digest = hashlib.sha256(meta["uid"].encode()).hexdigest()[:5]
    owner = {"apiVersion": thing["apiVersion"], "kind": thing["kind"], "name": meta["name"], "uid": meta["uid"]}
    made = {
        "apiVersion": VERSION,
        "kind": "Workload",
        "metadata": {
            "name": f"{short}-{meta['name']}-{digest}",
            "namespace": meta["namespace"],
            "labels": {"kueue.x-k8s.io/job-uid": meta["uid"]},
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {"active": True, "queueName": meta["labels"][LABEL], "podSets": _pod_sets(thing)},
    }
    answer: Object = client.ask("POST", client.path(VERSION, "Workload", meta["namespace"]), made)
    return answer


def _pod_sets(thing: Object) -> list[Object]:
    if thing["kind"] == "Job":
        kinds = [("main", 1, thing["spec"])]
    else:
        kinds = [
            (each["name"], each.get("replicas", 1), each["template"]["spec"])
            for each in thing["spec"]["replicatedJobs"]
        ]
    return [
        {
            "name": name,
            "count": times * spec.get("parallelism", 1),
            "template": {"spec": _bare(spec["template"]["spec"])},
        }
        for name, times, spec in kinds
    ]


def _bare(spec: Mapping[str, Any]) -> Object:
    return {"restartPolicy": "Never", **spec}


def _consider(client: Client, own: Object, workloads: Iterable[Object]) -> None:
    """Admit a workload if all of it fits, else say why it waits."""
    space = own["metadata"]["namespace"]
    queue = client.get(VERSION, "LocalQueue", own["spec"]["queueName"], space)
    cluster = queue and client.get(VERSION, "ClusterQueue", queue["spec"]["clusterQueue"])
    if not cluster:
        _wait(
            client,
            own,
            f"LocalQueue {own['spec']['queueName']} doesn't exist" if not queue else "ClusterQueue doesn't exist",
        )
        return
    quotas, flavors = _quotas(cluster)
    taken: dict[str, float] = defaultdict(float)
    for each in workloads:
        admission = each.get("status", {}).get("admission", {})
        if admission.get("clusterQueue") == cluster["metadata"]["name"] and not is_true(each, "Finished"):
            for resource, amount in _asked(each).items():
                taken[resource] += amount
    asked = {resource: amount for resource, amount in _asked(own).items() if resource in quotas}
    short = [name for name, amount in asked.items() if taken[name] + amount > quotas[name]]
    if short:
        _wait(client, own, f"couldn't assign flavors to pod set: insufficient unused quota for {', '.join(short)}")
        return
    sets = [
        {"name": each["name"], "count": each["count"], "flavors": {r: flavors[r] for r in _of(each) if r in flavors}}
        for each in own["spec"]["podSets"]
    ]
    admission = {"clusterQueue": cluster["metadata"]["name"], "podSetAssignments": sets}
    set_condition(
        client, own, condition("QuotaReserved", "True", "QuotaReserved", "Quota reserved"), admission=admission
    )
    set_condition(client, own, condition("Admitted", "True", "Admitted", "The workload is admitted"))


def _wait(client: Client, own: Object, why: str) -> None:
    known = next((each for each in own.get("status", {}).get("conditions", []) if each["type"] == "QuotaReserved"), {})
    if known.get("message") != why:
        set_condition(client, own, condition("QuotaReserved", "False", "Pending", why))


def _quotas(cluster: Object) -> tuple[dict[str, float], dict[str, str]]:
    """What a queue may give of each resource, and the flavor that it comes from."""
    amounts: dict[str, float] = {}
    flavors: dict[str, str] = {}
    for group in cluster["spec"].get("resourceGroups", []):
        for flavor in group["flavors"]:
            for each in flavor["resources"]:
                amounts[each["name"]] = amounts.get(each["name"], 0.0) + amount(str(each["nominalQuota"]))
                flavors.setdefault(each["name"], flavor["name"])
    return amounts, flavors


def _asked(workload: Object) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for each in workload["spec"]["podSets"]:
        for resource, one in _of(each).items():
            total[resource] += one * each["count"]
    return total


def _of(pod_set: Object) -> dict[str, float]:
    """What one pod asks for."""
    total: dict[str, float] = defaultdict(float)
    for container in pod_set["template"]["spec"]["containers"]:
        said = container.get("resources", {})
        for resource, text in {**said.get("limits", {}), **said.get("requests", {})}.items():
            total[resource] += amount(str(text))
    total["pods"] += 1
    return total


def amount(text: str) -> float:
    """A quantity of Kubernetes as a number: 500m, 2Gi."""
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    unit = next((each for each in units if text.endswith(each)), "")
    return float(text.removesuffix(unit)) * units.get(unit, 1)
