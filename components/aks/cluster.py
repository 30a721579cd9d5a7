"""An AKS cluster without accounts of its own: Entra ID says who somebody is, Azure's roles what they may do."""

import base64
from typing import TypedDict

import pulumi
import pulumi_azure_native as azure

from components.kubernetes.kubeconfig import called
from components.refuse import refuse


class AksClusterArgs(TypedDict):
    """What a cluster is made from."""

    group: pulumi.Input[str]
    """Resource group."""
    location: str
    """Region."""
    version: str
    """Version of Kubernetes; "" is what AKS gives now."""
    open_to: list[str]
    """Networks (CIDR) from which the API server is reached; none: it is private."""
    system_type: str
    """Size of the two nodes for what the cluster itself runs, for instance Standard_D4s_v5."""
    tags: dict[str, str]
    """Tags on everything that takes some."""


class AksCluster(pulumi.ComponentResource):
    """A managed cluster with a system pool. Its kubeconfig holds no token: `kubelogin` gets one."""

    name: pulumi.Output[str]
    """Name of the cluster."""

    kubeconfig: pulumi.Output[str]
    """The users' kubeconfig, whose context has the component's name; a secret."""

    def __init__(self, name: str, args: AksClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("AksCluster", wrong(args))
        super().__init__("skyrig:index:AksCluster", name, {}, opts)
        child, opened = pulumi.ResourceOptions(parent=self), args["open_to"]
        cluster = azure.containerservice.ManagedCluster(
            name,
            resource_group_name=args["group"],
            location=args["location"],
            dns_prefix=name,
            kubernetes_version=args["version"] or None,
            identity={"type": "SystemAssigned"},
            enable_rbac=True,
            aad_profile={"managed": True, "enable_azure_rbac": True},
            disable_local_accounts=True,
            api_server_access_profile=(
                {"authorized_ip_ranges": opened} if opened else {"enable_private_cluster": True}
            ),
            oidc_issuer_profile={"enabled": True},
            security_profile={"workload_identity": {"enabled": True}},
            network_profile={"network_plugin": "azure", "network_plugin_mode": "overlay", "network_policy": "cilium",
                             "network_dataplane": "cilium", "outbound_type": "managedNATGateway"},
            agent_pool_profiles=[
                {"name": "system", "mode": "System", "count": 2, "vm_size": args["system_type"], "os_type": "Linux",
                 "type": "VirtualMachineScaleSets", "tags": args["tags"]}
            ],
            tags=args["tags"],
            opts=child,
        )  # fmt: skip
        said = azure.containerservice.list_managed_cluster_user_credentials_output(
            resource_group_name=args["group"],
            resource_name=cluster.name,
            format="exec",
            opts=pulumi.InvokeOutputOptions(parent=self),
        )
        text = said.kubeconfigs.apply(lambda found: called(name, base64.b64decode(found[0].value).decode()))
        self.name, self.kubeconfig = cluster.name, pulumi.Output.secret(text)
        self.register_outputs({"name": self.name, "kubeconfig": self.kubeconfig})


def wrong(args: AksClusterArgs) -> dict[str, str]:
    """What cannot be had, by property path."""
    if "0.0.0.0/0" in args["open_to"]:
        return {"open_to": "an API server that is open to everybody; name the networks that use it"}
    return {}
