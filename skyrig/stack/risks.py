"""What a change would take away: nodes on a paid cloud that the engine would replace or delete, out of its preview."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

NODES = (
    "aws:ec2/instance:Instance",
    "gcp:compute/instance:Instance",
    "gcp:tpu/v2Vm:V2Vm",
    "azure-native:compute:VirtualMachine",
)
"""Types of the resources that are nodes."""

_TAKEN = {"delete": "deleted", "replace": "replaced", "create-replacement": "replaced", "delete-replaced": "replaced"}


@frozen
class Risk:
    """One node that would go: the resource's name, deleted or replaced, and which properties are the reason."""

    name: str
    becomes: str
    because: tuple[str, ...] = ()

    def is_of(self, node_id: str) -> bool:
        """Whether this is the machine of that node: components name them by it."""
        return re.search(rf"(?:^|-){re.escape(node_id)}(?:-machine)?$", self.name) is not None

    def __str__(self) -> str:
        reason = f" (another {', '.join(self.because)})" if self.because else ""
        return f"{self.name} would be {self.becomes}{reason}"


def of(preview: Mapping[str, Any]) -> list[Risk]:
    """The nodes that a preview (the document of `pulumi preview --json`) would take away, each once."""
    found: dict[str, Risk] = {}
    for step in preview.get("steps") or ():
        urn, becomes = str(step["urn"]), _TAKEN.get(step["op"])
        if becomes is None or urn.rpartition("::")[0].rpartition("::")[2].rpartition("$")[2] not in NODES:
            continue
        name = urn.rpartition("::")[2]
        because = tuple(dict.fromkeys([*found.get(name, Risk(name, "")).because, *(step.get("replaceReasons") or ())]))
        found[name] = Risk(name, becomes, because)
    return list(found.values())
