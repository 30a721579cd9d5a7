"""A cluster on the user's own machines: one of a pool for each node."""

from typing import Any

import pulumi

from components.refuse import refuse
from components.ssh.describe import describe, power
from components.ssh.machine import SshMachine, SshMachineArgs
from components.wanted import CloudArgs, WantedNodeArgs
from skyrig import places
from skyrig.catalog import balancers


class SshCloud(pulumi.ComponentResource):
    """Machines of one pool, lent to one stack. Nothing is rented: what is made of it all are leases, which lie on the
    machines themselves."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("SshCloud", _wrong(args))
        super().__init__("skyrig:index:SshCloud", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        made = [
            SshMachine(f"{name}-{node['id']}", _machine(args, node, rank == 0), child).machine
            for rank, node in enumerate(args["nodes"])
        ]
        records = places.records(args["stack"]).as_uri()
        self.description = pulumi.Output.all(args["public_key"], *made).apply(
            lambda known: describe(args, known[1:], known[0], records)
        )
        self.register_outputs({"description": self.description})


def _machine(args: CloudArgs, node: WantedNodeArgs, is_head: bool) -> SshMachineArgs:
    return {
        "stack": args["stack"],
        "node": node["id"],
        "version": f"{node['group']}/{node['version']}",
        "region": args["machine"]["region"],
        "instance_type": args["machine"]["instance_type"],
        "is_head": is_head,
        "public_key": args["public_key"],
        "owner": args["owner"],
        "task": args["task"],
        "managed": args.get("managed", ""),
    }


def _wrong(args: CloudArgs) -> dict[str, str]:
    """What cannot be had, by property path."""
    machine, wrong = args["machine"], {}
    if not machine["region"]:
        wrong["machine.region"] = "which pool of your own machines? ssh-POOL, as the inventory names them"
    if not machine["capacity"].startswith("on-demand"):
        wrong["machine.capacity"] = "your own machines are neither spot nor reserved: on-demand is what they are"
    if machine["image"]:
        wrong["machine.image"] = "your own machines have the system that is on them: no image is put there"
    if machine["network"]:
        wrong["machine.network"] = "your own machines are in the networks that they are in"
    if machine["egress"] not in ("", "public-outbound"):
        wrong["machine.egress"] = "how your own machines reach the internet is their own matter"
    if args["power"] == "stopped":
        wrong["power"] = power().refused
    if args.get("balancer"):
        wrong["balancer"] = balancers.wrong("ssh", 1)
    return wrong
