"""One node of a cluster: its interface, its machine, and the machine's power."""

from typing import Any, TypedDict

import pulumi
from pulumi_azure_native import compute, network

from components.azure import machine, names
from components.azure.power import AzurePower
from components.azure.shared import AzureSharedArgs
from components.hostkey import HostKey
from components.wanted import MachineArgs


class AzureNodeArgs(TypedDict):
    """What a node is made from."""

    stack: str
    """Name of the cluster."""
    id: str
    """Id of the node."""
    version: int
    """Version of its group; another one is another machine."""
    head: bool
    """Whether it is the cluster's head."""
    public: bool
    """Whether it has a public address."""
    machine: MachineArgs
    """Its machine. Labels, network, egress and ssh_from are not looked at."""
    fabric: str
    """Fabric of the node (skyrig.catalog.fabrics): none where it is not asked for."""
    shared: AzureSharedArgs
    """What it is put into."""
    power: str
    """Wanted power: up or stopped."""
    starts: int
    """How often a start was asked for."""
    ends_at: int
    """When its time to live is over, in seconds since the epoch; 0 is never."""
    tags: dict[str, str]
    """Tags on everything that takes any."""


class AzureNode(pulumi.ComponentResource):
    """A node. Its name shall have its version in it: another version is another node beside it."""

    machine: pulumi.Output[str]
    """Azure's own id of the machine: another one is another machine."""

    private: pulumi.Output[str]
    """Address inside the network."""

    public: pulumi.Output[str]
    """Public address; "" where it has none."""

    host_key: pulumi.Output[str]
    """Public host key, one OpenSSH line."""

    seen: pulumi.Output[str]
    """up or stopped, as last seen."""

    boot: pulumi.Output[str]
    """Changes with each start that was asked for."""

    def __init__(self, name: str, args: AzureNodeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skyrig:index:AzureNode", name, {}, opts)
        self._name, self._args, self._kind = name, args, machine.kind_of(args["machine"])
        self._called = names.machine(args["id"], args["version"])
        self._child = pulumi.ResourceOptions(parent=self)
        self._place = {
            "resource_group_name": args["shared"]["resource_group"],
            "location": args["machine"]["region"],
            "tags": args["tags"],
        }
        self.public = pulumi.Output.from_input("")
        interface = self._interface()
        # The address is Azure's to choose, and stays as long as the interface does.
        self.private = interface.ip_configurations.apply(lambda found: found[0].private_ip_address if found else "")
        key = HostKey(f"{name}-hostkey", f"{args['stack']}-{self._called}", self._child)
        self.host_key = key.public_key
        made = self._machine(interface, key)
        self.machine = made.vm_id
        power = AzurePower(
            f"{name}-power",
            {
                "vm": made.id,
                "machine": made.vm_id,
                "account": args["machine"]["account"],
                "power": args["power"],
                "starts": args["starts"],
            },
            self._child,
        )
        self.seen, self.boot = power.seen, power.boot
        self.register_outputs({"machine": self.machine, "private": self.private, "public": self.public})

    def _interface(self) -> network.NetworkInterface:
        shared, called = self._args["shared"], self._called
        groups = [shared["nodes_group"], shared["head_group"]] if self._args["head"] else [shared["nodes_group"]]
        config: dict[str, Any] = {
            "name": "node",
            "subnet": {"id": shared["subnet"]},
            "private_ip_allocation_method": "Dynamic",
            "application_security_groups": [{"id": group} for group in groups],
        }
        if self._args["head"] and shared["pool"] is not None:
            config["load_balancer_backend_address_pools"] = [{"id": shared["pool"]}]
        if self._args["public"]:
            address = network.PublicIPAddress(
                f"{self._name}-address",
                public_ip_address_name=called,
                public_ip_allocation_method="Static",
                sku={"name": "Standard"},
                **self._place,
                opts=self._child,
            )
            config["public_ip_address"] = {"id": address.id}
            self.public = address.ip_address.apply(lambda found: found or "")
        return network.NetworkInterface(
            f"{self._name}-interface",
            network_interface_name=called,
            ip_configurations=[config],
            enable_accelerated_networking=self._kind.accelerated,
            network_security_group={"id": shared["security_group"]},
            **self._place,
            opts=self._child,
        )

    def _machine(self, interface: network.NetworkInterface, key: HostKey) -> compute.VirtualMachine:
        args, shared = self._args, self._args["shared"]
        host = names.host(args["stack"], args["id"])
        # A secret in the state, and read once: another text is for the next machine, not for this one.
        told = pulumi.Output.all(key.private_key, key.public_key, shared["public_key"]).apply(
            lambda known: machine.custom_data(
                self._kind, host, args["fabric"], known[0], known[1], known[2], args["ends_at"]
            )
        )
        made = compute.VirtualMachine(
            f"{self._name}-machine",
            **machine.inputs(self._kind, self._called),
            **{key: {"id": found} for key, found in shared["placement"].items()},
            os_profile=machine.os_profile(host, pulumi.Output.secret(told), shared["public_key"]),
            network_profile={"network_interfaces": [{"id": interface.id, "primary": True, "delete_option": "Detach"}]},
            identity={"type": "UserAssigned", "user_assigned_identities": [shared["identity"]]},
            **self._place,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["osProfile.customData"]),
        )
        if self._kind.image.driver_extension:
            compute.VirtualMachineExtension(
                f"{self._name}-driver", vm_name=made.name, **machine.DRIVER, **self._place, opts=self._child
            )
        return made
