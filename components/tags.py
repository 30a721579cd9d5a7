"""Tags by which everything that is made for a cluster is found when its state is lost. Pure functions."""

from components.wanted import ClusterArgs

STACK = "skyrig-stack"
"""Tag with the name of the stack."""
JOB = "skyrig-job"
"""Tag with number and index of the managed job that owns the cluster."""
NODE = "skyrig-node"
"""Tag with the id of the node that a thing belongs to."""


def tags(args: ClusterArgs, node: str = "") -> dict[str, str]:
    """Tags of what is made for a cluster, or for one `node` of it: its stack, owner, task and job, and the user's
    labels."""
    ours = {
        STACK: args["stack"],
        "skyrig-owner": args["owner"],
        "skyrig-task": args["task"],
        JOB: args.get("managed", ""),
        NODE: node,
    }
    return {**args["machine"]["labels"], **{name: value for name, value in ours.items() if value}}
