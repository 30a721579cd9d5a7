"""An EKS cluster: its control plane, its system nodes, and the kubeconfig that leads there."""

import json
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.kubernetes.kubeconfig import kubeconfig
from components.refuse import refuse

ADDONS = ("vpc-cni", "kube-proxy", "coredns")


class EksClusterArgs(TypedDict):
    """What a cluster is made from."""

    region: str
    """Region of the cluster."""
    subnets: list[pulumi.Output[str]]
    """Private subnets in two zones or more."""
    version: str
    """Version of Kubernetes, "1.34"; "" is what EKS gives now."""
    open_to: list[str]
    """Networks (CIDR) from which the API server is reached beside the VPC; none: from the VPC alone."""
    system_type: str
    """Type of the two nodes for what the cluster itself runs, for instance m7i.large."""
    tags: dict[str, str]
    """Tags on everything that is made."""


class EksCluster(pulumi.ComponentResource):
    """A private EKS cluster. Whoever makes it is its administrator, by access entries; nobody else has a way in."""

    name: pulumi.Output[str]
    """Name of the cluster."""

    security_group_id: pulumi.Output[str]
    """The group that all nodes share with the control plane."""

    node_role_arn: pulumi.Output[str]
    """The role of nodes."""

    kubeconfig: pulumi.Output[str]
    """A kubeconfig whose context has the component's name and whose credentials come from `aws eks get-token`; a
    secret."""

    def __init__(self, name: str, args: EksClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("EksCluster", wrong(args))
        super().__init__("skyrig:index:EksCluster", name, {}, opts)
        child, tags = pulumi.ResourceOptions(parent=self), args["tags"]
        role = self._role(f"{name}-control", "eks.amazonaws.com", ["AmazonEKSClusterPolicy"], tags)
        cluster = aws.eks.Cluster(
            name,
            role_arn=role,
            version=args["version"] or None,
            access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": True},
            upgrade_policy={"support_type": "STANDARD"},
            enabled_cluster_log_types=["api", "audit", "authenticator"],
            vpc_config={
                "subnet_ids": args["subnets"],
                "endpoint_private_access": True,
                "endpoint_public_access": bool(args["open_to"]),
                **({"public_access_cidrs": args["open_to"]} if args["open_to"] else {}),
            },
            tags=tags,
            opts=child,
        )
        policies = ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"]
        self.node_role_arn = self._role(f"{name}-nodes", "ec2.amazonaws.com", policies, tags)
        system = aws.eks.NodeGroup(
            f"{name}-system",
            cluster_name=cluster.name,
            node_role_arn=self.node_role_arn,
            subnet_ids=args["subnets"],
            ami_type="AL2023_x86_64_STANDARD",
            instance_types=[args["system_type"]],
            scaling_config={"desired_size": 2, "min_size": 2, "max_size": 2},
            tags=tags,
            opts=child,
        )
        for addon in ADDONS:
            after = [system] if addon == "coredns" else []
            aws.eks.Addon(
                f"{name}-{addon}",
                cluster_name=cluster.name,
                addon_name=addon,
                tags=tags,
                opts=pulumi.ResourceOptions(parent=self, depends_on=after),
            )
        self.name = cluster.name
        self.security_group_id = cluster.vpc_config.cluster_security_group_id
        said = pulumi.Output.all(cluster.name, cluster.endpoint, cluster.certificate_authority.data)
        self.kubeconfig = pulumi.Output.secret(said.apply(lambda each: _kubeconfig(name, args["region"], *each)))
        self.register_outputs({"name": self.name, "kubeconfig": self.kubeconfig})

    def _role(self, name: str, service: str, policies: list[str], tags: dict[str, str]) -> pulumi.Output[str]:
        """The ARN of a role for a service with AWS's own policies, known once it has them."""
        child = pulumi.ResourceOptions(parent=self)
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        trusted = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        role = aws.iam.Role(name, assume_role_policy=trusted, tags=tags, opts=child)
        held = [
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy}", role=role.name, policy_arn=f"arn:aws:iam::aws:policy/{policy}", opts=child
            ).id
            for policy in policies
        ]
        return pulumi.Output.all(role.arn, *held).apply(lambda each: str(each[0]))


def wrong(args: EksClusterArgs) -> dict[str, str]:
    """What cannot be had, by property path."""
    found = {}
    if len(args["subnets"]) < 2:
        found["subnets"] = "EKS wants subnets in two zones or more"
    if "0.0.0.0/0" in args["open_to"]:
        found["open_to"] = "an API server that is open to everybody; name the networks that use it"
    return found


def _kubeconfig(context: str, region: str, name: str, endpoint: str, authority: str) -> str:
    words = ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"]
    return kubeconfig(context, endpoint, authority, "aws", words)
