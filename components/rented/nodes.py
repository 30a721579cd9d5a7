"""What the components of such clouds do alike: names, host keys, what a machine is told, and what is known of it."""

from collections.abc import Mapping
from typing import Any

import pulumi

from components import boot
from components.describe import SaidNode, describe
from components.hostkey import HostKey
from components.rented.machine import RentedMachineArgs
from components.rented.power import RentedPowerArgs
from components.tags import tags
from components.wanted import CloudArgs, WantedNodeArgs
from skyrig import places
from skyrig.catalog import fabrics, instances
from skyrig.clouds.machines_api import names
from skyrig.clouds.machines_api.machine import HOST

CONTAINER = "docker:"
"""What names a container image begins with."""


def container(image: str) -> str:
    """The image of the container that jobs run in; "" where they run on the machine."""
    return image.removeprefix(CONTAINER) if image.startswith(CONTAINER) else ""


def cluster_name(args: CloudArgs) -> str:
    """What the names of all things of the cluster begin with."""
    return names.cluster_name(args["stack"], args["owner"])


def host_key(name: str, args: CloudArgs, wanted: WantedNodeArgs, opts: pulumi.ResourceOptions) -> HostKey:
    """The host key of a node. Its machine in another place is another machine, and gets the same key."""
    node = f"{wanted['id']}-v{wanted['version']}"
    return HostKey(f"{name}-{node}-hostkey", node, opts)


def machine_args(
    args: CloudArgs, wanted: WantedNodeArgs, host: HostKey, told: pulumi.Input[str], key: pulumi.Input[str]
) -> RentedMachineArgs:
    """What the machine of a node is made from."""
    machine = args["machine"]
    tagged = pulumi.Output.from_input(host.public_key).apply(
        lambda public: {**tags(args, wanted["id"]), HOST: names.mark(public)}
    )
    return {
        "account": machine["account"],
        "name": names.machine_name(cluster_name(args), wanted["id"], wanted["version"]),
        "instance_type": machine["instance_type"],
        "region": machine["region"],
        "zone": machine["zone"],
        "image": "" if container(machine["image"]) else machine["image"],
        "disk_gb": machine["disk_gb"],
        "key": key,
        "told": told,
        "tags": tagged,
    }


def user_data(args: CloudArgs, wanted: WantedNodeArgs, host: HostKey) -> pulumi.Output[str]:
    """What a virtual machine is told at its first boot; a secret."""
    machine = args["machine"]
    kind = instances.find(args["cloud"], machine["instance_type"])
    name = names.machine_name(cluster_name(args), wanted["id"], wanted["version"])

    def told(known: dict[str, str]) -> str:
        return boot.user_data(
            {
                "cloud": args["cloud"],
                "host": name,
                "host_private_key": known["private"],
                "host_public_key": known["public"],
                "client_key": known["client"],
                "fabric": fabrics.of(kind, machine["network_tier"]).kind,
                "accelerator": kind.accelerator,
                "accelerator_count": kind.accelerator_count,
                "container": container(machine["image"]),
                "ends_at": int(wanted.get("ends_at", 0)),
            }
        )

    known = pulumi.Output.all(private=host.private_key, public=host.public_key, client=args["public_key"])
    return pulumi.Output.secret(known.apply(told))


def said(wanted: WantedNodeArgs, known: dict[str, Any], public_key: str, user: str) -> SaidNode:
    """What is known of a node, as the description wants it; numbers come from the engine as floats."""
    return {
        "id": wanted["id"],
        "machine": known["machine"],
        "boot": known["boot"],
        "public": known["public"],
        "private": known["private"],
        "host_key": public_key,
        "power": "stopped" if known["state"] in ("stopped", "stopping", "gone") else "up",
        "user": user,
        "port": int(known["port"]),
    }


def power_args(args: CloudArgs, machines: Mapping[str, pulumi.CustomResource]) -> RentedPowerArgs:
    """What the power of all machines is made from; `machines` by node id."""
    return {
        "account": args["machine"]["account"],
        "ids": pulumi.Output.all(**{node: made.id for node, made in machines.items()}),
        "power": args["power"],
        "starts": args["starts"],
    }


def described(
    cloud: str,
    args: CloudArgs,
    hosts: Mapping[str, HostKey],
    there: pulumi.Output[dict[str, Any]],
    user: str,
) -> pulumi.Output[dict[str, Any]]:
    """The description of a cluster whose machines, by node id, are `there`; `user` logs in."""
    keys = pulumi.Output.all(**{node: host.public_key for node, host in hosts.items()})
    return pulumi.Output.all(args["public_key"], there, keys).apply(
        lambda known: describe(
            cloud,
            args,
            [said(each, known[1][each["id"]], known[2][each["id"]], user) for each in args["nodes"]],
            known[0],
            places.records(args["stack"]).as_uri(),
        )
    )
