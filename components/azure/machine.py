"""The inputs of a virtual machine. Pure functions."""

import base64
from typing import Any, NamedTuple

import pulumi

from components import boot
from components.azure import image
from components.azure.disks import STORAGE
from components.describe import USER
from components.wanted import MachineArgs
from skyrig.catalog import instances
from skyrig.catalog.instances import InstanceType
from skyrig.cluster.machine import Capacity, capacity

DRIVER: dict[str, Any] = {
    "vm_extension_name": "nvidia-driver",
    "publisher": "Microsoft.HpcCompute",
    "type": "NvidiaGpuDriverLinux",
    "type_handler_version": "1.9",
    "auto_upgrade_minor_version": True,
}
"""Azure's extension that installs NVIDIA's driver, on NV sizes the one for their shares of a GPU (GRID)."""


class Kind(NamedTuple):
    """What the machines of a group are, all known before anything is made."""

    type: InstanceType
    """Their type."""
    capacity: Capacity
    """How they are paid for."""
    image: image.Image
    """What they boot."""
    container: str
    """Image of the container that jobs run in; "" where they run on the machine."""
    disk_gb: int
    """Boot disk in GiB."""
    disk_tier: str
    """Its tier."""
    zone: str
    """Their zone; "" is none."""

    @property
    def accelerated(self) -> bool:
        """Whether interfaces of the type have accelerated networking; all that Azure sells but a few old ones do."""
        return bool(self.type.facts.get("accelerated_networking", True))


def kind_of(wanted: MachineArgs) -> Kind:
    """What machines are; InputPropertyError where no image is known for their type."""
    kind = instances.find("azure", wanted["instance_type"])
    found = image.find(kind, wanted["image"])
    if found is None:
        raise pulumi.InputPropertyError("machine.image", f"no image is known for {kind.name}: name one")
    return Kind(
        type=kind,
        capacity=capacity(wanted["capacity"]),
        image=found,
        container=image.container(wanted["image"]),
        disk_gb=wanted["disk_gb"],
        disk_tier=wanted["disk_tier"],
        zone=wanted["zone"],
    )


def custom_data(
    kind: Kind, host: str, fabric: str, private_key: str, public_key: str, client_key: str, ends_at: int = 0
) -> str:
    """What a machine is told at its first boot, in base64. Nothing reads it afterwards, and the metadata service does
    not give it away (user data, which Azure has besides, it does). `ends_at` is when its time to live is over, in
    seconds since the epoch (0: never)."""
    told: boot.BootArgs = {
        "cloud": "azure",
        "host": host,
        "host_private_key": private_key,
        "host_public_key": public_key,
        "client_key": client_key,
        "fabric": fabric,
        "accelerator": kind.type.accelerator,
        "container": kind.container,
        "ends_at": ends_at,
    }
    return base64.b64encode(boot.user_data(told).encode()).decode()


def inputs(kind: Kind, name: str) -> dict[str, Any]:
    """The inputs of machine `name` that do not depend on what it is put into."""
    disk = {
        "name": f"{name}-boot",
        "create_option": "FromImage",
        "delete_option": "Delete",
        "caching": "ReadWrite",
        "disk_size_gb": kind.disk_gb,
        "managed_disk": {"storage_account_type": STORAGE[kind.disk_tier]},
    }
    return {
        "vm_name": name,
        "hardware_profile": {"vm_size": kind.type.name},
        "storage_profile": {"image_reference": kind.image.reference, "os_disk": disk},
        "security_profile": image.security(kind.image),
        "diagnostics_profile": {"boot_diagnostics": {"enabled": True}},
        "zones": [kind.zone] if kind.zone else None,
        **_paid(kind.capacity),
    }


def os_profile(host: str, custom_data: Any, public_key: Any) -> dict[str, Any]:
    """Who logs in, with the client's key alone, and what the machine is told at its first boot (base64)."""
    keys = [{"path": f"/home/{USER}/.ssh/authorized_keys", "key_data": public_key}]
    return {
        "computer_name": host,
        "admin_username": USER,
        "custom_data": custom_data,
        "linux_configuration": {
            "disable_password_authentication": True,
            "provision_vm_agent": True,
            "ssh": {"public_keys": keys},
        },
    }


def _paid(capacity: Capacity) -> dict[str, Any]:
    """Spot machines are deallocated when the cloud takes them back, which is Azure's default: the node keeps its disk
    and its place in the stack, `up` makes no other one, and a start brings it back. Price is no reason to evict."""
    if capacity.kind == "spot":
        return {"priority": "Spot", "eviction_policy": "Deallocate", "billing_profile": {"max_price": -1}}
    if capacity.kind == "reservation":
        return {"capacity_reservation": {"capacity_reservation_group": {"id": capacity.id}}}
    return {}
