"""The network that the nodes of a cluster are in."""

from typing import Any, TypedDict

import pulumi
from pulumi_oci.core.get_services import get_services_output
from pulumi_oci.core.internet_gateway import InternetGateway
from pulumi_oci.core.nat_gateway import NatGateway
from pulumi_oci.core.route_table import RouteTable
from pulumi_oci.core.security_list import SecurityList
from pulumi_oci.core.service_gateway import ServiceGateway
from pulumi_oci.core.subnet import Subnet
from pulumi_oci.core.vcn import Vcn

from components.oci import ranges
from components.oci.adoption import adopt

_ALL = "0.0.0.0/0"


class OciNetworkArgs(TypedDict):
    """What the network of a cluster is made from."""

    cluster: str
    """Beginning of all names."""
    account: str
    """Compartment of all of it."""
    labels: dict[str, str]
    """Free-form tags."""
    nat: bool
    """Whether nodes without public addresses reach the internet."""
    adopt: str
    """An existing VCN, OCID[:PUBLIC[,PRIVATE]] with the names of its subnets, in place of an own one; "" makes one."""


class OciNetwork(pulumi.ComponentResource):
    """One VCN with a public subnet, which the head is in, and a private one, or an existing VCN. No security list lets
    anything in: what may pass is said by the security groups alone.

    `ranges` are the VCN's (CIDR), `services` is what Oracle's own services in the region are called in a rule ("": they
    are not reached by a way of their own), `has_names` whether nodes get names in the VCN.
    """

    vcn: pulumi.Output[str]
    """Its OCID."""

    public: pulumi.Output[str]
    """OCID of the subnet that takes public addresses."""

    private: pulumi.Output[str]
    """OCID of the other one."""

    def __init__(self, name: str, args: OciNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:OciNetwork", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self.has_names = not args["adopt"]
        self.ranges: tuple[str, ...] = (ranges.VCN,)
        self.services: pulumi.Input[str] = ""
        if args["adopt"]:
            found = adopt("OciNetwork", args["adopt"], args["account"], pulumi.InvokeOptions(parent=self))
            self.ranges = found.ranges
            self.vcn, self.public, self.private = map(
                pulumi.Output.from_input, (found.vcn, found.public, found.private)
            )
        else:
            self._made()
        self.register_outputs({"vcn": self.vcn, "public": self.public, "private": self.private})

    def _made(self) -> None:
        vcn = Vcn(f"{self._name}-vcn", **self._said("vcn"), cidr_blocks=[ranges.VCN], dns_label="skyrig")
        self.vcn = vcn.id
        closed = SecurityList(f"{self._name}-closed", **self._said("closed"), vcn_id=vcn.id)
        door = InternetGateway(f"{self._name}-internet", **self._said("internet"), vcn_id=vcn.id, enabled=True)
        out = [{"network_entity_id": door.id, "destination": _ALL, "destination_type": "CIDR_BLOCK"}]
        self.public = self._subnet("public", ranges.PUBLIC, closed, out)
        self.private = self._subnet("private", ranges.PRIVATE, closed, self._ways())

    def _ways(self) -> list[dict[str, Any]]:
        """Routes of the private subnet: to Oracle's own services, and to all else where that is wanted."""
        known = get_services_output(opts=pulumi.InvokeOptions(parent=self)).services.apply(_all_services)
        gateway = ServiceGateway(
            f"{self._name}-services",
            **self._said("services"),
            vcn_id=self.vcn,
            services=[{"service_id": known.apply(lambda said: said["id"])}],
        )
        self.services = known.apply(lambda said: said["cidr"])
        near = {"destination": self.services, "destination_type": "SERVICE_CIDR_BLOCK"}
        ways: list[dict[str, Any]] = [{"network_entity_id": gateway.id, **near}]
        if self._args["nat"]:
            nat = NatGateway(f"{self._name}-nat", **self._said("nat"), vcn_id=self.vcn)
            ways.append({"network_entity_id": nat.id, "destination": _ALL, "destination_type": "CIDR_BLOCK"})
        return ways

    def _subnet(self, which: str, range_: str, closed: SecurityList, ways: list[dict[str, Any]]) -> pulumi.Output[str]:
        routes = RouteTable(
            f"{self._name}-{which}-routes", **self._said(f"{which}-routes"), vcn_id=self.vcn, route_rules=ways
        )
        subnet = Subnet(
            f"{self._name}-{which}",
            **self._said(which),
            vcn_id=self.vcn,
            cidr_block=range_,
            dns_label=which,
            prohibit_public_ip_on_vnic=which == "private",
            route_table_id=routes.id,
            security_list_ids=[closed.id],
        )
        id_: pulumi.Output[str] = subnet.id
        return id_

    def _said(self, what: str) -> dict[str, Any]:
        """Where a thing is, its name and its tags."""
        return {
            "compartment_id": self._args["account"],
            "display_name": f"{self._args['cluster']}-{what}",
            "freeform_tags": self._args["labels"],
            "opts": self._child,
        }


def _all_services(services: Any) -> dict[str, str]:
    """OCID and label of all of Oracle's services in a region that a service gateway reaches; "" where nobody was
    asked."""
    for each in services or ():
        if each["cidr_block"].startswith("all-"):
            return {"id": each["id"], "cidr": each["cidr_block"]}
    return {"id": "", "cidr": ""}
