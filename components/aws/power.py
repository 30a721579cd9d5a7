"""Stopping and starting a node that stays the same node."""

import pulumi
import pulumi_aws as aws

from skyrig.catalog import power
from skyrig.catalog.instances import InstanceType
from skyrig.cluster.machine import Capacity

STATES = {"up": "running", "stopped": "stopped"}


def on_shutdown(kind: InstanceType, capacity: Capacity) -> str:
    """What becomes of a node that shuts itself down: it stops, or ends where it cannot be stopped."""
    return "terminate" if power.of(kind, capacity).refused else "stop"


def switched(
    node: str, instance: pulumi.Output[str], wanted: str, starts: int, parent: pulumi.Resource
) -> pulumi.Output[str]:
    """Bring an instance into a power state, once: what it is in when it was last looked at.

    The state is a resource whose name says what was asked for. Another wish is another resource, which does its work
    when it is made; removing the earlier one does nothing. That the instance has left the state by itself is no change
    of the wish, and is left alone.
    """
    made = aws.ec2transitgateway.InstanceState(  # it is EC2's; the SDK has it under this name
        f"{node}-{wanted}-{starts}",
        instance_id=instance,
        state=STATES[wanted],
        opts=pulumi.ResourceOptions(
            parent=parent,
            ignore_changes=["state"],
            custom_timeouts=pulumi.CustomTimeouts(create="20m"),  # machines with 2 TiB take their time to stop
        ),
    )
    state: pulumi.Output[str] = made.state
    return state
