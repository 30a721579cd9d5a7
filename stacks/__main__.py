"""The Pulumi program: the stack's config becomes a cluster, and the cluster's description is exported."""

import json
import os
import sys

import pulumi

from components.cluster import Cluster
from skyrig.cluster import shape
from skyrig.errors import BadInput, SkyrigError

EXIT_SAID = 32
"""Exit code by which the language host knows that the reader has been told what is wrong, and adds nothing."""


def wanted() -> shape.Shape:
    """The shape that the stack's config asks for; a SkyrigError where it makes no sense."""
    prefix = f"{shape.NAMESPACE}:"
    values = json.loads(os.environ.get("PULUMI_CONFIG", "{}"))
    found = shape.from_config({k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)})
    if found.power != "up":
        raise BadInput(f"{prefix}power: {found.power!r} is not there yet on the {found.cloud} cloud", hint="use `up`")
    return found


def main() -> None:
    """Build the cluster and export it."""
    asked = wanted()
    stack = pulumi.get_stack()
    cluster = Cluster(
        stack,
        {
            "stack": stack,
            "nodes": [{"id": node.id, "group": node.group, "version": node.version} for node in asked.nodes],
            "accelerator": asked.accelerators.name,
            "accelerator_count": asked.accelerators.count,
            "cpus": asked.cpus,
            "isolation": asked.isolation,
        },
    )
    pulumi.export("cluster", cluster.exported())


try:
    main()
except SkyrigError as error:
    pulumi.log.error(str(error))
    sys.exit(EXIT_SAID)
