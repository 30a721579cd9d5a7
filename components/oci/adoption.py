"""An existing VCN that a cluster is put into: looked at, never changed but for the cluster's own security groups."""

import pulumi
from attrs import frozen
from pulumi_oci.core.get_subnets import get_subnets
from pulumi_oci.core.get_vcn import get_vcn

from components.refuse import refuse


@frozen
class Adopted:
    """An existing VCN, its ranges (CIDR), the subnet for the head, which takes public addresses, and the one for all
    other nodes, which is the same where the VCN has one alone."""

    vcn: str
    ranges: tuple[str, ...]
    public: str
    private: str


def adopt(component: str, wanted: str, account: str, opts: pulumi.InvokeOptions) -> Adopted:
    """The VCN `wanted`: its OCID, where it has several subnets of a kind with :NAME,NAME of those to use behind.
    InputPropertiesError where it has no such subnets; an error of the provider where it may not be read."""
    vcn, _, names = wanted.partition(":")
    found = get_vcn(vcn_id=vcn, opts=opts)
    there = get_subnets(
        compartment_id=found.compartment_id or account, vcn_id=vcn, state="AVAILABLE", opts=opts
    ).subnets
    named = [each for each in there if not names or each["display_name"] in names.split(",") or each["id"] in names]
    public = [each for each in named if not each["prohibit_public_ip_on_vnic"]]
    private = [each for each in named if each["prohibit_public_ip_on_vnic"]]
    if len(public) != 1 or len(private) > 1:
        all_ = ", ".join(each["display_name"] for each in there) or "none"
        ask = f"{vcn}:PUBLIC or {vcn}:PUBLIC,PRIVATE is wanted, one of each"
        refuse(component, {"machine.network": f"of subnets it has {all_}; the head takes a public one: {ask}"})
    return Adopted(vcn, tuple(found.cidr_blocks), public[0]["id"], (private or public)[0]["id"])
