"""What is known of a node once it is made, for the description of its cluster."""

from typing import Any

import pulumi

from components.azure.node import AzureNode
from components.describe import SaidNode


def facts(node: AzureNode) -> pulumi.Output[Any]:
    """All that is known of a node, in the order that `said` wants."""
    return pulumi.Output.all(node.machine, node.boot, node.public, node.private, node.host_key, node.seen)


def said(node_id: str, known: list[str]) -> SaidNode:
    """The same as plain data."""
    machine, boot, public, private, host_key, power = known
    return SaidNode(
        id=node_id, machine=machine, boot=boot, public=public, private=private, host_key=host_key, power=power
    )
