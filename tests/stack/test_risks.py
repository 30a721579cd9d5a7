"""Which nodes a preview would take away."""

from __future__ import annotations

from skyrig.stack import risks

INSIDE = "urn:pulumi:x::skyrig::skyrig:index:Cluster$skyrig:index:AwsNodeGroup"


def step(op: str, name: str, kind: str = "aws:ec2/instance:Instance", **more: object) -> dict[str, object]:
    return {"op": op, "urn": f"{INSIDE}${kind}::{name}", **more}


def test_nodes_that_would_go_are_named_once_with_the_reason() -> None:
    steps = [
        step("same", "x-n0"),
        step("create", "x-n4"),
        step("update", "x-n5"),
        step("delete-replaced", "x-n1"),
        step("replace", "x-n1", replaceReasons=["launchTemplate"]),
        step("create-replacement", "x-n1", replaceReasons=["launchTemplate"]),
        step("delete", "x-n2"),
        step("delete", "x-n2-up-0", "aws:ec2transitgateway/instanceState:InstanceState"),
        step("delete", "x-rule", "aws:ec2/securityGroup:SecurityGroup"),
    ]
    assert [str(each) for each in risks.of({"steps": steps})] == [
        "x-n1 would be replaced (another launchTemplate)",
        "x-n2 would be deleted",
    ]


def test_a_preview_without_steps_takes_nothing() -> None:
    assert risks.of({"config": {}, "diagnostics": []}) == risks.of({"steps": None}) == []
