"""A cluster that has Slurm, as a stack: `region` names it, `zone` its partition."""

from typing import Any

import pulumi

from components.refuse import refuse
from components.slurm.describe import describe
from components.slurm.site import SlurmSite
from components.wanted import CloudArgs


class SlurmCloud(pulumi.ComponentResource):
    """An existing Slurm cluster, reached through its login node with the user's own key."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("SlurmCloud", _wrong(args))
        super().__init__("skyrig:index:SlurmCloud", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        stack, where, partition = args["stack"], args["machine"]["region"], args["machine"]["zone"]
        head = args["nodes"][0]["id"]
        site = SlurmSite(f"{name}-site", {"stack": stack, "site": where, "partition": partition}, child)
        self.description = site.found.apply(lambda found: describe(stack, where, partition, head, found))
        self.register_outputs({"description": self.description})


def _wrong(args: CloudArgs) -> dict[str, str]:
    """What cannot be had, by property path."""
    wrong = {}
    if not args["machine"]["region"]:
        wrong["machine.region"] = "which Slurm cluster? slurm/NAME as in ~/.slurm/config"
    if args["ports"]:
        wrong["ports"] = "no ports can be opened on a Slurm cluster"
    if args["power"] == "stopped":
        wrong["power"] = "the nodes of a Slurm cluster are not ours to stop"
    return wrong
