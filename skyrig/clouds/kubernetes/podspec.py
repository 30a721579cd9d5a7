"""The pod that a node is, as a template of a Job: a pure function of what is asked for and what was found out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from skyrig.catalog import facts, sized
from skyrig.catalog.sized import Size
from skyrig.clouds.kubernetes import machines
from skyrig.clouds.kubernetes.merging import OURS, merged
from skyrig.clouds.kubernetes.names import CLUSTER

CLOUD = "kubernetes"
BOOT, HOST = "/etc/skyrig/boot", "/etc/skyrig/host"
"""Where a pod finds the program that it runs with the key that may log in, and its host keys."""

PORT = int(facts.of(CLOUD, "images")["port"])
"""Port of the SSH servers."""

USER = str(facts.of(CLOUD, "images")["user"])
"""Who logs in."""

GRACE_S = 30
"""Seconds that a pod has between the word that it goes and its end."""


@frozen
class Asked:
    """What a stack's config says of its pods (`skyrig:podConfig`). `config` is the task's section `kubernetes`;
    `select` a label of nodes and the values that will do; `resource` how accelerators are asked for; `fabric` the one
    that the nodes have, and `devices` what is asked for to have it. What was not found out is empty."""

    config: Mapping[str, Any] = field(factory=dict)
    select: Mapping[str, tuple[str, ...]] = field(factory=dict)
    resource: str = ""
    fabric: str = ""
    devices: Mapping[str, str] = field(factory=dict)

    @property
    def queue(self) -> str:
        """Kueue's local queue that admits the pods; "" where none is asked for."""
        named = (self.config.get("kueue") or {}).get("local_queue_name") or (self.config.get("quota") or {}).get(
            "queue"
        )
        labels = (self.config.get("custom_metadata") or {}).get("labels") or {}
        of_pods = ((self.config.get("pod_config") or {}).get("metadata") or {}).get("labels") or {}
        return str(named or labels.get(QUEUE) or of_pods.get(QUEUE) or "")

    @property
    def timeout_s(self) -> float:
        """Seconds that pods may take until they run; where a queue admits them, and where it says -1, without end."""
        said = self.config.get("provision_timeout")
        if self.queue:
            said = (self.config.get("kueue") or {}).get("admission_timeout", said if said is not None else -1)
        return TIMEOUT_S if said is None else float(said)


QUEUE = "kueue.x-k8s.io/queue-name"
"""Label by which Kueue knows what it admits."""

TIMEOUT_S = 600.0
"""How long pods may take where nobody says: images are large, and clusters that grow need minutes for a machine."""


@frozen
class Pod:
    """What one template is made from: the cluster's name, the type of its nodes, the image ("": ours), labels and
    annotations, and the names of the cluster's things."""

    cluster: str
    size: Size
    asked: Asked
    image: str = ""
    labels: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)
    host_keys: str = ""
    network_tier: str = "standard"


def asked_of(text: str) -> Asked:
    """What the config's JSON says; "" says nothing."""
    said = json.loads(text) if text else {}
    return Asked(
        config=said.get("config", {}),
        select={key: tuple(values) for key, values in said.get("select", {}).items()},
        resource=said.get("resource", ""),
        fabric=said.get("fabric", ""),
        devices=said.get("devices", {}),
    )


def size_of(instance_type: str) -> Size:
    """What a type has; a small node where it has no name of a size."""
    return sized.parse(instance_type) or Size(2.0, 8.0)


def template(pod: Pod) -> dict[str, Any]:
    """The template: ours, with what the fabric wants over it, and over both what the task says."""
    own = (pod.asked.config.get("custom_metadata") or {}) if pod.asked.config else {}
    base: dict[str, Any] = {
        "metadata": {"labels": dict(pod.labels), "annotations": dict(pod.annotations)},
        "spec": _spec(pod),
    }
    if pod.network_tier == "best" and pod.asked.fabric:
        base = merged(base, facts.of(CLOUD, "fabric")[pod.asked.fabric].get("pod", {}))
    base = merged(base, {"metadata": own}) if own else base
    found = merged(base, pod.asked.config.get("pod_config") or {})
    if not found["metadata"]["annotations"]:
        del found["metadata"]["annotations"]
    return found


def _spec(pod: Pod) -> dict[str, Any]:
    spec = {
        "restartPolicy": "Never",
        "serviceAccountName": pod.cluster,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "subdomain": pod.cluster,
        "terminationGracePeriodSeconds": GRACE_S,
        "affinity": _affinity(pod),
        "tolerations": _tolerations(pod),
        "containers": [_container(pod)],
        "volumes": [
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
            {"name": "boot", "configMap": {"name": pod.cluster}},
            {"name": "host", "secret": {"secretName": pod.host_keys, "defaultMode": 0o400}},
        ],
    }
    return {key: value for key, value in spec.items() if value not in ([], {})}


def _container(pod: Pod) -> dict[str, Any]:
    return {
        "name": OURS,
        "image": pod.image or default_image(pod),
        "command": ["/bin/sh", f"{BOOT}/start.sh"],
        "env": [{"name": "PIP_BREAK_SYSTEM_PACKAGES", "value": "1"}],  # what is installed goes with the pod
        "securityContext": {"runAsUser": 0},
        "ports": [{"containerPort": PORT, "name": "ssh"}],
        "resources": _resources(pod),
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 2, "failureThreshold": 300},
        "volumeMounts": [
            {"name": "shm", "mountPath": "/dev/shm"},
            {"name": "boot", "mountPath": BOOT, "readOnly": True},
            {"name": "host", "mountPath": HOST, "readOnly": True},
        ],
    }


def default_image(pod: Pod) -> str:
    """The image of nodes for which none is named."""
    listed = facts.of(CLOUD, "images")
    nvidia = pod.size.accelerators and _resource(pod) == "nvidia.com/gpu"
    return str(listed["accelerated" if nvidia else "default"])


def _resources(pod: Pod) -> dict[str, Any]:
    """Cores and memory are asked for, and limited only where the task wants that; devices are both, as they must be."""
    plain = {"cpu": f"{pod.size.cpus:g}", "memory": f"{pod.size.memory_gib:g}Gi"}
    devices: dict[str, str] = {_resource(pod): str(pod.size.accelerators)} if pod.size.accelerators else {}
    if pod.network_tier == "best":
        devices |= pod.asked.devices
    found: dict[str, Any] = {"requests": {**plain, **devices}}
    limits = {**_limits(pod), **devices}
    return {**found, "limits": limits} if limits else found


def _limits(pod: Pod) -> dict[str, str]:
    wanted = pod.asked.config.get("set_pod_resource_limits")
    if not wanted:
        return {}
    times = 1.0 if wanted is True else float(wanted)
    return {"cpu": f"{pod.size.cpus * times:g}", "memory": f"{pod.size.memory_gib * times:g}Gi"}


def _resource(pod: Pod) -> str:
    return pod.asked.resource or machines.resource_of(pod.size.accelerator)


def _tolerations(pod: Pod) -> list[dict[str, Any]]:
    if not pod.size.accelerators:
        return []
    taints = facts.of(CLOUD, "devices")["taints"].get(_resource(pod), [_resource(pod)])
    return [{"key": taint, "operator": "Exists", "effect": "NoSchedule"} for taint in taints]


def _affinity(pod: Pod) -> dict[str, Any]:
    """On nodes that have what is asked for, and near each other; nodes with a fabric never on one machine, those with
    accelerators rather not."""
    found: dict[str, Any] = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 50, "podAffinityTerm": _term(pod, "topology.kubernetes.io/zone")}
    ]}}  # fmt: skip
    if pod.network_tier == "best" and pod.asked.fabric:
        apart = {"requiredDuringSchedulingIgnoredDuringExecution": [_term(pod, "kubernetes.io/hostname")]}
        found["podAntiAffinity"] = apart
    elif pod.size.accelerators:
        term = {"weight": 100, "podAffinityTerm": _term(pod, "kubernetes.io/hostname")}
        found["podAntiAffinity"] = {"preferredDuringSchedulingIgnoredDuringExecution": [term]}
    if pod.asked.select:
        wanted = [
            {"key": key, "operator": "In", "values": list(values)} for key, values in sorted(pod.asked.select.items())
        ]
        terms = {"nodeSelectorTerms": [{"matchExpressions": wanted}]}
        found["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    return found


def _term(pod: Pod, topology: str) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": {CLUSTER: pod.cluster}}, "topologyKey": topology}
