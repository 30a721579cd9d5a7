"""An existing network that a cluster is put into: looked at, never changed but for the cluster's own firewall rules."""

import pulumi
from attrs import frozen
from pulumi_gcp.compute.get_network import get_network
from pulumi_gcp.compute.get_subnetwork import get_subnetwork

from components.refuse import refuse


@frozen
class Adopted:
    """An existing network and the subnet of it to use: their links, and the subnet's range (CIDR)."""

    network: str
    subnetwork: str
    range: str


def adopt(component: str, wanted: str, region: str, project: str, opts: pulumi.InvokeOptions) -> Adopted:
    """The network `wanted`: NAME or projects/PROJECT/global/networks/NAME, where it has several subnets in the region
    with :SUBNET behind. InputPropertiesError where it has no such subnet; an error of the provider where there is no
    such network or it may not be read."""
    path, _, subnet = wanted.partition(":")
    parts = path.split("/")
    owner = parts[parts.index("projects") + 1] if "projects" in parts else project
    found = get_network(name=parts[-1], project=owner, opts=opts)
    here = [link for link in found.subnetworks_self_links if f"/regions/{region}/subnetworks/" in link]
    named = [link for link in here if not subnet or link.rsplit("/", 1)[-1] == subnet]
    if len(named) != 1:
        names = ", ".join(link.rsplit("/", 1)[-1] for link in here) or "none"
        ask = f"{path}:SUBNET is wanted" if here else "another network or region is wanted"
        why = f"of subnets in {region}, {path} has {names}: {ask}"
        refuse(component, {"machine.network": why})
    chosen = get_subnetwork(self_link=named[0], opts=opts)
    return Adopted(network=found.self_link, subnetwork=named[0], range=chosen.ip_cidr_range)
