"""A cluster on Azure: its resource group, network, identity and groups of nodes."""

from typing import Any

import pulumi
from pulumi_azure_native import Provider, resources

from components.azure import aliases
from components.azure.balancer import AzureBalancer
from components.azure.group import AzureNodeGroup
from components.azure.identity import AzureIdentity
from components.azure.network import AzureNetwork
from components.azure.placement import AzurePlacement
from components.azure.placing import placing, remark
from components.azure.said import facts, said
from components.azure.shared import AzureSharedArgs
from components.azure.wrong import wrong
from components.describe import describe
from components.refuse import refuse
from components.tags import tags
from components.wanted import CloudArgs, balanced
from skyrig import places
from skyrig.catalog import egress, fabrics, instances
from skyrig.clouds.azure import names
from skyrig.cluster.machine import capacity, paid_in


class AzureCloud(pulumi.ComponentResource):
    """Everything of one cluster, in a resource group of its own: what is in there goes with the cluster."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("AzureCloud", wrong(args))
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(transformations=[aliases.dropped]))
        super().__init__("skyrig:index:AzureCloud", name, {}, opts)
        self._name, self._args, self._wanted = name, args, args["machine"]
        self._kind = instances.find("azure", self._wanted["instance_type"])
        self._paid = capacity(self._wanted["capacity"])
        self._fabric = fabrics.of(self._kind, self._wanted["network_tier"]).kind
        self._egress = self._wanted["egress"] or egress.default(len(args["nodes"]))
        self._tags = tags(args)
        self._tell()
        # No other subscription than this one is ever read or changed, whoever is logged in.
        own = pulumi.ResourceOptions(parent=self)
        provider = Provider(f"{name}-provider", subscription_id=self._wanted["account"], opts=own)
        self._child = pulumi.ResourceOptions(parent=self, provider=provider)
        self._entrance: pulumi.Input[str] = ""
        groups = self._groups()
        nodes = [groups[wanted["group"]].nodes[wanted["id"]] for wanted in args["nodes"]]
        everyone = [facts(node) for node in nodes]
        self.description = pulumi.Output.all(args["public_key"], self._entrance, *everyone).apply(
            lambda known: describe(
                "azure",
                args,
                [said(wanted["id"], fact) for wanted, fact in zip(args["nodes"], known[2:], strict=True)],
                known[0],
                places.records(args["stack"]).as_uri(),
                known[1],
            )
        )
        self.register_outputs({"description": self.description})

    def _tell(self) -> None:
        """Say at preview what may not be as the reader expects."""
        told = remark(self._kind, self._wanted["network_tier"], self._paid)
        if told:
            pulumi.log.warn(told, self)
        if self._egress == "none":
            pulumi.log.warn("with egress none only the head can stop itself: Azure's API is on the internet", self)

    def _groups(self) -> dict[str, AzureNodeGroup]:
        args, shared = self._args, self._shared()
        return {
            group: AzureNodeGroup(
                f"{self._name}-{group}",
                {
                    "stack": args["stack"],
                    "nodes": [wanted for wanted in args["nodes"] if wanted["group"] == group],
                    "head": args["nodes"][0]["id"],
                    "everyone_public": self._egress == "public-outbound",
                    "machine": {**self._wanted, "capacity": str(paid_in(self._paid, group))},
                    "fabric": self._fabric,
                    "shared": shared,
                    "power": args["power"],
                    "starts": args["starts"],
                    "tags": self._tags,
                },
                self._child,
            )
            for group in dict.fromkeys(wanted["group"] for wanted in args["nodes"])
        }

    def _shared(self) -> AzureSharedArgs:
        """What all nodes are put into."""
        args, wanted, name, child, marks = self._args, self._wanted, self._name, self._child, self._tags
        group = resources.ResourceGroup(
            f"{name}-group",
            resource_group_name=names.resource_group(args["stack"]),
            location=wanted["region"],
            tags=marks,
            opts=child,
        )
        network = AzureNetwork(
            f"{name}-network",
            {
                "resource_group": group.name,
                "region": wanted["region"],
                "account": wanted["account"],
                "network": wanted["network"],
                "egress": self._egress,
                "fabric": self._fabric,
                "ssh_from": wanted["ssh_from"],
                "ports": args["ports"],
                "balanced": bool(balanced(args)),
                "tags": marks,
            },
            child,
        )
        identity = AzureIdentity(
            f"{name}-identity",
            {
                "stack": args["stack"],
                "account": wanted["account"],
                "region": wanted["region"],
                "resource_group": group.name,
                "scope": group.id,
                "containers": wanted["reaches"],
                "tags": marks,
            },
            child,
        )
        placement = AzurePlacement(
            f"{name}-placement",
            {
                "put": placing(self._kind, wanted["network_tier"], self._paid),
                "instance_type": wanted["instance_type"],
                "resource_group": group.name,
                "region": wanted["region"],
                "zone": wanted["zone"],
                "tags": marks,
            },
            child,
        )
        return {
            "resource_group": group.name,
            "subnet": network.subnet,
            "security_group": network.security_group,
            "nodes_group": network.nodes,
            "head_group": network.head,
            "identity": identity.id,
            "placement": placement.machine,
            "pool": self._pool(group.name),
            "public_key": args["public_key"],
        }

    def _pool(self, group: pulumi.Input[str]) -> pulumi.Output[str] | None:
        """Make the balancer, where one is wanted, in the resource group of that name: the pool for the head."""
        args, wanted = self._args, self._wanted
        if not balanced(args):
            return None
        made = AzureBalancer(
            f"{self._name}-balancer",
            {
                "group": f"/subscriptions/{wanted['account']}/resourceGroups/{names.resource_group(args['stack'])}",
                "resource_group": group,
                "region": wanted["region"],
                "ports": balanced(args),
                "tags": self._tags,
            },
            self._child,
        )
        self._entrance = made.address
        return made.pool
