"""A cluster on RunPod: one pod, since pods have no network among them that a cluster could use."""

from typing import Any

import pulumi

from components.hostkey import HostKey
from components.refuse import refuse
from components.rented import nodes
from components.rented.wrong import wrong
from components.runpod.boot import script
from components.runpod.pod import CLOUD, RunpodPod, RunpodPower
from components.wanted import CloudArgs, WantedNodeArgs
from skyrig.catalog import facts, instances

USER = "root"
NO_PORTS = "RunPod gives open ports other numbers outside, so none can be had as it is called: leave `ports` out"


class RunpodCloud(pulumi.ComponentResource):
    """The pod of one stack in one data center."""

    description: pulumi.Output[dict[str, Any]]
    """The cluster description without key material."""

    def __init__(self, name: str, args: CloudArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        refuse("RunpodCloud", wrong(args, ports=NO_PORTS, zones=True))
        super().__init__("skyrig:index:RunpodCloud", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        hosts = {each["id"]: nodes.host_key(name, args, each, child) for each in args["nodes"]}
        pods = {each["id"]: _pod(name, args, each, hosts[each["id"]], child) for each in args["nodes"]}
        power = RunpodPower(f"{name}-power", nodes.power_args(args, pods), child)
        self.description = nodes.described(CLOUD, args, hosts, power.nodes, USER)
        self.register_outputs({"description": self.description})


def _pod(name: str, args: CloudArgs, wanted: WantedNodeArgs, host: HostKey, opts: pulumi.ResourceOptions) -> RunpodPod:
    """A pod is a container: the image that jobs run in is its own."""
    machine = args["machine"]
    kind = instances.find(CLOUD, machine["instance_type"])
    known = pulumi.Output.all(private=host.private_key, public=host.public_key, client=args["public_key"])
    told = known.apply(
        lambda said: script(
            {
                "cloud": CLOUD,
                "host": "",
                "host_private_key": said["private"],
                "host_public_key": said["public"],
                "client_key": said["client"],
                "fabric": "none",
                "accelerator": kind.accelerator,
                "container": "",
                "ends_at": int(wanted.get("ends_at", 0)),
            }
        )
    )
    made = nodes.machine_args(args, wanted, host, pulumi.Output.secret(told), "")
    made["image"] = nodes.container(machine["image"]) or machine["image"] or facts.of(CLOUD, "images")["default"]
    return RunpodPod(f"{name}-{wanted['id']}-v{wanted['version']}", made, opts)
