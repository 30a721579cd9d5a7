"""What the nodes of a cloud may do there: the rights that they are given, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from skyrig.catalog import facts


@frozen
class Right:
    """One right of every node: the cloud's own name of it, on what, and why."""

    action: str
    resource: str
    reason: str

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}: {self.reason}"


def of_nodes(cloud: str, reaches: Sequence[str] = ()) -> tuple[Right, ...]:
    """The rights of the nodes of a cluster on `cloud` that reads and writes the buckets `reaches`."""
    said = facts.of(cloud, "power").get("identity", {})
    listed = said if isinstance(said, list) else [{"action": name, "reason": why} for name, why in said.items()]
    power = [Right(each["action"], each.get("resource", "its own machine"), each["reason"]) for each in listed]
    return (*power, *(Right("read and write", bucket, "a bucket that jobs use") for bucket in reaches))
