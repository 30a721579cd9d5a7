"""A lab's own Kubernetes cluster: EKS with nodes that have EFA, made by Skyrig's components.

Its kubeconfig has a context of the stack's name; `invoke launch task.yaml --infra kubernetes/NAME` runs a task there.
"""

import sys

import pulumi

from skyrig import places

sys.path.append(str(places.shipped()))  # `components` is no package of its own: a clone has it, and so does the wheel

from components.eks.cluster import EksCluster
from components.eks.network import EksNetwork
from components.eks.nodes import EksNodes
from components.eks.plugins import EksPlugins

config, name = pulumi.Config(), pulumi.get_stack()
region = config.require("region")
tags = {"owner": "lab", "stack": name}

net = EksNetwork(f"{name}-net", {"region": region, "zones": [f"{region}a", f"{region}b"], "tags": tags})
cluster = EksCluster(
    name,
    {
        "region": region,
        "subnets": net.private_subnet_ids,
        "version": "",
        "open_to": config.get_object("openTo") or [],
        "system_type": "m7i.large",
        "tags": tags,
    },
)
nodes = EksNodes(
    f"{name}-p5",
    {
        "cluster": cluster.name,
        "role_arn": cluster.node_role_arn,
        "vpc_id": net.vpc_id,
        "subnet": net.private_subnet_ids[0],
        "cluster_group": cluster.security_group_id,
        "instance_type": "p5.48xlarge",
        "nodes": 2,
        "capacity": f"block/{config.require('block')}",
        "disk_gb": 500,
        "tags": tags,
    },
)
EksPlugins(f"{name}-plugins", {"kubeconfig": cluster.kubeconfig, "versions": {}})

pulumi.export("kubeconfig", cluster.kubeconfig)
