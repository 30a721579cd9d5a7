"""Balancers of a stack, their listeners and their targets, which are not EC2's: how they are found, and how they go."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skyrig.catalog import facts
from skyrig.clouds.aws import machines, session
from skyrig.clouds.cloud import Leftover, NotUsable

BALANCER, TARGETS = "balancer", "target group"
"""Kinds of leftovers."""

LISTENER = "aws:lb/listener:Listener"
TYPES = {"aws:lb/loadBalancer:LoadBalancer": BALANCER, "aws:lb/targetGroup:TargetGroup": TARGETS}
"""The engine's types of them. It knows each by its ARN."""

_PREFIX = "sky-"
_AT_ONCE = 20  # ARNs in one question for tags
_WAIT_S = 600
_LISTED = {
    BALANCER: ("describe_load_balancers", "LoadBalancers", "LoadBalancerArn", "LoadBalancerName"),
    TARGETS: ("describe_target_groups", "TargetGroups", "TargetGroupArn", "TargetGroupName"),
}


def of_stack(stack: str, region: str) -> list[Leftover]:
    """Those under the stack's tag, in the order of removal. Who may not look for any has made none."""
    try:
        there = [(kind, each, tags) for kind in _LISTED for each, tags in _tagged(kind, region)]
    except NotUsable:
        return []
    return [_left(kind, each, tags) for kind, each, tags in there if tags.get(machines.STACK) == stack]


def remove(region: str, left: Sequence[Leftover]) -> None:
    """Remove those of them that are in `left`. What AWS refuses to remove now stays, and is listed again."""
    from botocore.exceptions import ClientError, WaiterError

    elb, arns = session.client("elbv2", region), [each.id for each in left if each.kind == BALANCER]
    with contextlib.suppress(ClientError, WaiterError):
        for arn in arns:
            elb.delete_load_balancer(LoadBalancerArn=arn)
        if arns:  # what they have in the network hangs on them
            waits = {"Delay": 5, "MaxAttempts": _WAIT_S // 5}
            elb.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=arns, WaiterConfig=waits)
    for each in left:
        if each.kind == TARGETS:
            with contextlib.suppress(ClientError):
                elb.delete_target_group(TargetGroupArn=each.id)


def find(kind: str, inputs: Mapping[str, Any], region: str) -> list[str]:
    """ARNs of what is there of the engine's type `kind` (one of TYPES, or LISTENER) with the tags of `inputs`."""
    if kind == LISTENER:
        return _listening(str(inputs["loadBalancerArn"]), int(inputs["port"]), region)
    wanted = {str(name): str(value) for name, value in inputs["tags"].items()}
    key = _LISTED[TYPES[kind]][2]
    return [str(each[key]) for each, tags in _tagged(TYPES[kind], region) if wanted.items() <= tags.items()]


def _listening(balancer: str, port: int, region: str) -> list[str]:
    """Who listens at a port of a balancer; a second one is refused. Nobody where the balancer itself is not known."""
    if not balancer.startswith("arn:"):
        return []
    with session.asking(f"listeners of {balancer}"):
        there = session.client("elbv2", region).describe_listeners(LoadBalancerArn=balancer)["Listeners"]
    return [str(each["ListenerArn"]) for each in there if each["Port"] == port]


def _tagged(kind: str, region: str) -> Iterator[tuple[Mapping[str, Any], dict[str, str]]]:
    """All of one kind that may be Skyrig's by their names, each with its tags."""
    call, listed, arn, name = _LISTED[kind]
    elb = session.client("elbv2", region)
    with session.asking(f"looking for {kind}s"):
        pages = elb.get_paginator(call).paginate()
        there = {each[arn]: each for page in pages for each in page[listed] if each[name].startswith(_PREFIX)}
        for some in _batches(list(there)):
            for said in elb.describe_tags(ResourceArns=some)["TagDescriptions"]:
                yield there[said["ResourceArn"]], machines.tags_of(said)


def _batches(arns: list[str]) -> Iterator[list[str]]:
    return (arns[start : start + _AT_ONCE] for start in range(0, len(arns), _AT_ONCE))


def _left(kind: str, described: Mapping[str, Any], tags: Mapping[str, str]) -> Leftover:
    made = described.get("CreatedTime")
    return Leftover(
        kind,
        str(described[_LISTED[kind][2]]),
        _hourly() if kind == BALANCER else 0.0,
        tags.get(machines.OWNER, ""),
        made.timestamp() if made is not None else None,
    )


def _hourly() -> float:
    """Without its address, which is there by itself."""
    return float(facts.of("aws", "balancer")["hourly"] - facts.of("aws", "egress")["address_hourly"])
