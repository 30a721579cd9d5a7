"""The Cluster component: nodes, their network and the client's key, described in one output."""

from typing import Any

import attrs
import pulumi

from components.key import ClientKey
from components.wanted import ClusterArgs
from skyrig.catalog import fabrics, instances
from skyrig.cluster import clouds
from skyrig.cluster.description import ClusterDescription


class Cluster(pulumi.ComponentResource):
    """A cluster of a stack: what `pulumi up` makes and the launcher uses. The component of its cloud is imported where
    it is used, since SDKs are large; it is made from `CloudArgs` and has a `description`."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material (skyrig/cluster/description.py)."""

    private_key: pulumi.Output[str]
    """The client's private key, OpenSSH text; a secret."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:Cluster", name, {}, opts)
        self._tell(args)
        child = pulumi.ResourceOptions(parent=self)
        has_jobs = bool(args.get("scheduler")) and clouds.has("components", args["cloud"], "jobs")
        part = "jobs" if has_jobs else "cloud"  # the queue that is there, and no nodes
        own = clouds.registered(args["cloud"]).has_key and not has_jobs  # else the user's own key opens what is there
        key = ClientKey(f"{name}-key", args["stack"], child) if own else None
        module = clouds.module("components", args["cloud"], part)
        make = getattr(module, f"{clouds.title(args['cloud'])}{part.title()}")
        cloud = make(
            f"{name}-{args['cloud']}", {**args, "public_key": key.public_key if key is not None else ""}, child
        )
        self.description = cloud.description
        self._scheduler = args.get("scheduler") or ""
        self.private_key = key.private_key if key is not None else pulumi.Output.secret("")
        self.register_outputs({"description": self.description})

    def _tell(self, args: ClusterArgs) -> None:
        """Say at preview what the network between nodes will be, where that may surprise."""
        machine = args["machine"]
        kind = instances.of_cloud(args["cloud"]).get(machine["instance_type"])
        told = fabrics.remark(kind, machine["network_tier"], len(args["nodes"])) if kind is not None else ""
        if told:
            pulumi.log.warn(told, self)

    def exported(self) -> dict[str, Any]:
        """The stack output `cluster`: the description field by field, in which `ssh.private_key` alone is secret."""
        fields: dict[str, Any] = {
            field.name: self.description[field.name] for field in attrs.fields(ClusterDescription)
        }
        if self._scheduler:
            fields["scheduler"] = self._scheduler
        fields["ssh"] = {
            "public_key": self.description["ssh"]["public_key"],
            "private_key": self.private_key,
            "identity": self.description["ssh"]["identity"],
        }
        return fields
