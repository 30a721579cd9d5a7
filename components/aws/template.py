"""What instances of a group are launched from: the properties of its launch templates. Pure functions."""

from typing import Any

import pulumi

from components.aws import efa, market
from components.tags import STACK
from skyrig.catalog.instances import InstanceType
from skyrig.cluster.machine import ONDEMAND, SPOT, capacity


def properties(kind: InstanceType, args: Any, head: bool, placement: pulumi.Input[str] | None) -> dict[str, Any]:
    """Properties of the template for the head, or for all other nodes, of a group made from `args` (AwsNodeGroupArgs).

    Whatever changes here replaces nodes. So what changes in place is with the instance instead: its disk and tags.
    """
    return {
        "name_prefix": f"skyrig-{args['stack']}-"[:98],
        "description": _described(args["nodes"][0]["group"], head),
        "image_id": args["image_id"],
        "instance_type": args["instance_type"],
        "network_interfaces": network_interfaces(kind, args, head),
        **({"placement": {"group_name": placement}} if placement is not None else {}),
        **market.options(capacity(args["capacity"])),
        "iam_instance_profile": {"name": args["profile_name"]},
        "metadata_options": {
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": 2,  # a container is one hop further away
        },
        "tag_specifications": [
            {"resource_type": "network-interface", "tags": {STACK: args["stack"]}},
        ],
        "tags": args["tags"],
    }


def _described(group: str, head: bool) -> str:
    """By this a template is told from the others of its cluster, which carry the same tags."""
    apart = f", {group}" if group in (ONDEMAND, SPOT) else ""
    return f"{'The head' if head else 'Nodes'} of a Skyrig cluster{apart}"


def network_interfaces(kind: InstanceType, args: Any, head: bool) -> list[dict[str, Any]]:
    """The interfaces. The primary one of the head, and of all nodes that have public addresses, is in the public
    subnet; all EFA interfaces are in the private one together."""
    interfaces = efa.interfaces(kind, args["network_tier"])
    public = head or args["each_public"]
    primary = {
        "subnet_id": args["public_subnet_id"] if public else args["private_subnet_id"],
        "security_groups": [args["nodes_group_id"], *([args["head_group_id"]] if head else [])],
    }
    other = {"subnet_id": args["private_subnet_id"], "security_groups": [args["nodes_group_id"]]}
    if len(interfaces) == 1:  # of several AWS takes no wish for an address at all
        primary["associate_public_ip_address"] = "true" if public and not head else "false"
    return [
        {
            "network_card_index": each.card,
            "device_index": each.device,
            "interface_type": each.kind,
            "delete_on_termination": "true",
            **(primary if each == efa.PRIMARY else other),
        }
        for each in interfaces
    ]
