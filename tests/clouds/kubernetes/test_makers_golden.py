"""What makes Kubernetes clusters registers, against golden files; SKYRIG_GOLDEN=1 writes them anew."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
from registrations import Registration, golden, record

pytest.importorskip("pulumi_kubernetes")

from components.aks.cluster import AksCluster
from components.aks.nodes import AksNodes
from components.eks.cluster import EksCluster
from components.eks.network import EksNetwork
from components.eks.nodes import EksNodes, bought
from components.eks.plugins import EksPlugins
from components.gke.cluster import GkeCluster
from components.gke.nodes import GkeNodes
from skyrig.cluster.machine import Capacity

FOLDER = Path(__file__).with_name("makers")
TAGS = {"skyrig-stack": "lab", "skyrig-owner": "me"}
CA = base64.b64encode(b"authority").decode()

OUTPUTS = {
    "aws:eks/cluster:Cluster": {"name": "{name}-0a1b", "endpoint": "https://{name}.eks", "vpcConfig": {
        "subnetIds": [], "clusterSecurityGroupId": "sg-cluster"}, "certificateAuthority": {"data": CA}},
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 3},
    "aws:ec2/placementGroup:PlacementGroup": {"name": "{name}"},
    "aws:iam/role:Role": {"name": "{name}", "arn": "arn:aws:iam::123456789012:role/{name}"},
    "aws:eks/nodeGroup:NodeGroup": {"nodeGroupName": "{name}"},
    "gcp:container/cluster:Cluster": {"name": "{name}-0a1b", "endpoint": "192.0.2.7",
                                      "masterAuth": {"clusterCaCertificate": CA}},
    "gcp:serviceaccount/account:Account": {"email": "{name}@p.iam", "member": "serviceAccount:{name}@p.iam"},
    "gcp:compute/network:Network": {"name": "{name}"},
    "gcp:compute/subnetwork:Subnetwork": {"name": "{name}"},
    "gcp:container/nodePool:NodePool": {"name": "{name}"},
    "azure-native:containerservice:ManagedCluster": {"name": "{name}-0a1b"},
    "azure-native:containerservice:AgentPool": {"name": "{name}"},
}  # fmt: skip
USERS = {"apiVersion": "v1", "kind": "Config", "users": [{"name": "u", "user": {"exec": {"command": "kubelogin"}}}],
         "contexts": [{"name": "lab-0a1b", "context": {"cluster": "lab-0a1b", "user": "u"}}],
         "current-context": "lab-0a1b"}  # fmt: skip
ANSWERS = {
    "azure-native:containerservice:listManagedClusterUserCredentials": {
        "kubeconfigs": [{"name": "clusterUser", "value": base64.b64encode(json.dumps(USERS).encode()).decode()}]
    }
}


def eks() -> pulumi.Output[str]:
    """Two nodes with 32 EFAs each out of a capacity block."""
    zones = ["us-east-2a", "us-east-2b"]
    net = EksNetwork("lab-net", {"region": "us-east-2", "zones": zones, "tags": TAGS})
    cluster = EksCluster("lab", {
        "region": "us-east-2", "subnets": net.private_subnet_ids, "version": "1.34", "open_to": ["198.51.100.0/24"],
        "system_type": "m7i.large", "tags": TAGS})  # fmt: skip
    EksNodes("lab-p5", {
        "cluster": cluster.name, "role_arn": cluster.node_role_arn, "vpc_id": net.vpc_id,
        "subnet": net.private_subnet_ids[0], "cluster_group": cluster.security_group_id,
        "instance_type": "p5.48xlarge", "nodes": 2, "capacity": "block/cr-0123", "disk_gb": 500,
        "tags": TAGS})  # fmt: skip
    EksPlugins("lab-plugins", {"kubeconfig": cluster.kubeconfig, "versions": {}})
    return cluster.kubeconfig


def gke(instance_type: str, accelerator: str, mtu: int, capacity: str = "spot") -> pulumi.Output[str]:
    """Two nodes with their fabric's networks."""
    cluster = GkeCluster("lab", {
        "project": "p", "zone": "us-central1-a", "channel": "REGULAR", "mtu": mtu, "open_to": [],
        "system_type": "e2-standard-4", "labels": TAGS})  # fmt: skip
    GkeNodes("lab-gpu", {
        "project": "p", "zone": "us-central1-a", "cluster": cluster.cluster_id, "account": cluster.account,
        "kubeconfig": cluster.kubeconfig, "instance_type": instance_type, "accelerator": accelerator, "nodes": 2,
        "capacity": capacity, "labels": TAGS})  # fmt: skip
    return cluster.kubeconfig


def aks() -> pulumi.Output[str]:
    """Two nodes with InfiniBand."""
    cluster = AksCluster("lab", {
        "group": "g", "location": "eastus", "version": "", "open_to": [], "system_type": "Standard_D4s_v5",
        "tags": TAGS})  # fmt: skip
    AksNodes("lab-nd", {
        "group": "g", "cluster": cluster.name, "kubeconfig": cluster.kubeconfig,
        "instance_type": "Standard_ND96isr_H100_v5", "nodes": 2, "spot": False, "versions": {},
        "tags": TAGS})  # fmt: skip
    return cluster.kubeconfig


CASES: dict[str, Callable[[], Any]] = {
    "eks-p5": eks,
    "gke-tcpxo": lambda: gke("a3-megagpu-8g", "nvidia-h100-mega-80gb", 8244),
    "gke-rdma": lambda: gke("a3-ultragpu-8g", "nvidia-h200-141gb", 8896, "reservation/mine"),
    "aks-nd": aks,
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    """All of it, and the kubeconfig, which holds no token."""
    made, config = record(CASES[case], outputs=OUTPUTS, answers=ANSWERS)
    file = FOLDER / f"{case}.json"
    if os.environ.get("SKYRIG_GOLDEN"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(golden(made))
    assert golden(made) == file.read_text()
    way = json.loads(config)
    assert way["current-context"] == "lab" and [each["name"] for each in way["contexts"]] == ["lab"]
    user = way["users"][0]["user"]
    assert list(user) == ["exec"] and user["exec"]["command"] in ("aws", "gke-gcloud-auth-plugin", "kubelogin")
    _kept(case, made)


def _kept(case: str, made: list[Registration]) -> None:
    """Nothing is open to everybody, and what takes tags has them."""
    for each in made:
        ingress = [*(each.inputs.get("ingress") or ()), *(each.inputs.get("sourceRanges") or ())]
        assert "0.0.0.0/0" not in json.dumps(ingress), each.name
        tagged = each.inputs.get("tags") or each.inputs.get("resourceLabels") or {}
        assert TAGS.items() <= tagged.items() or not tagged, each.name
    if case == "eks-p5":
        template = next(each for each in made if each.type.endswith(":LaunchTemplate"))
        kinds = [each["interfaceType"] for each in template.inputs["networkInterfaces"]]
        assert kinds.count("efa-only") == 32 and kinds[0] == "interface"


def test_what_is_refused() -> None:
    """Before anything is registered."""
    open_to_all = ["0.0.0.0/0"]
    with pytest.raises(pulumi.InputPropertiesError, match="open to everybody"):
        record(lambda: AksCluster("a", {"group": "g", "location": "l", "version": "", "open_to": open_to_all,
                                        "system_type": "s", "tags": {}}))  # fmt: skip
    with pytest.raises(pulumi.InputPropertiesError, match="two zones"):
        record(lambda: EksCluster("a", {"region": "r", "subnets": [], "version": "", "open_to": [], "system_type": "s",
                                        "tags": {}}))  # fmt: skip
    assert bought(Capacity("spot")) == {}
    assert "instance_market_options" not in bought(Capacity("reservation", "cr-1"))
