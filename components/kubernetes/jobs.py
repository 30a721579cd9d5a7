"""A Kubernetes cluster that queues jobs itself, as a stack: `region` names the context, `zone` the namespace."""

from collections.abc import Mapping
from typing import Any

import pulumi

from components.kubernetes.queue import KubernetesQueue
from components.refuse import refuse
from components.wanted import CloudArgs
from skyrig.cluster.description import Accelerators, ClusterDescription, Node, Partition, Power, SshAccess

POWER = Power(refused="its nodes are the Kubernetes cluster's: a job takes room on them, which is free when it ends")


class KubernetesJobs(pulumi.ComponentResource):
    """The queue of an existing Kubernetes cluster, reached with the user's own kubeconfig. It makes no nodes."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description. It holds no key material: there is none."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("KubernetesJobs", wrong(args))
        super().__init__("skyrig:index:KubernetesJobs", name, {}, opts)
        stack, machine = args["stack"], args["machine"]
        queue = KubernetesQueue(
            f"{name}-queue",
            {
                "stack": stack,
                "owner": args["owner"],
                "context": machine["region"],
                "namespace": machine["zone"],
            },
            pulumi.ResourceOptions(parent=self),
        )
        head = args["nodes"][0]["id"]
        self.description = queue.found.apply(lambda found: describe(stack, head, found))
        self.register_outputs({"description": self.description})


def wrong(args: CloudArgs) -> dict[str, str]:
    """What cannot be had, by property path."""
    found = {}
    if not args["machine"]["region"]:
        found["machine.region"] = "which context? kubernetes/CONTEXT as in the kubeconfig"
    if args["ports"]:
        found["ports"] = "jobs of a queue have no ports that are open to the outside"
    if args["power"] == "stopped":
        found["power"] = "the nodes of a Kubernetes cluster are not ours to stop"
    return found


def describe(name: str, head: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """The description of the queue `name`, as plain data. Its one node is the way in, the API server, which is no SSH
    server and has no host key; what runs jobs are the cluster's nodes, by kind."""
    host, port = found["host"], int(found["port"])
    way = Node(
        id=head,
        rank=0,
        host=host,
        port=port,
        address=host,
        user="",
        host_key="",
        incarnation=f"{host}:{port}",
        internal_port=port,
    )
    described = ClusterDescription(
        name=name,
        cloud="kubernetes",
        region=found["context"],
        zone=found["namespace"],
        nodes=(way,),
        ssh=SshAccess(public_key=""),
        records=f"kubernetes://{found['namespace']}/{name}",
        egress="none",
        power=POWER,
        scheduler="kubernetes",
        partitions=tuple(_partition(each) for each in found["partitions"]),
    )
    return described.to_json()


def _partition(said: Mapping[str, Any]) -> Partition:
    """Nodes of one kind; numbers come from the engine as floats."""
    gpus = said["accelerators"]
    return Partition(
        name=said["name"],
        nodes=int(said["nodes"]),
        cpus=float(said["cpus"]),
        memory_gb=float(said["memory_gb"]),
        accelerators=Accelerators(name=gpus["name"], count=int(gpus["count"])),
    )
