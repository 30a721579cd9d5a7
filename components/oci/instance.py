"""How an instance is asked for, as plain data. Pure functions."""

from typing import Any

import pulumi

from skyrig.clouds.oci.shapes import of_type
from skyrig.cluster.machine import Capacity

RDMA = ("Compute HPC RDMA Authentication", "Compute HPC RDMA Auto-Configuration")
"""What of Oracle's agent brings an instance into the RDMA network: it authenticates the machine to the switches
(802.1X), and configures its interfaces."""

GPU = "Compute RDMA GPU Monitoring"


def shaped(instance_type: str) -> dict[str, Any]:
    """Shape of an instance, and its size where the shape has several."""
    shape = of_type(instance_type)
    size = {"ocpus": shape.ocpus, "memory_in_gbs": shape.memory_gib}
    return {"shape": shape.name, **({"shape_config": size} if shape.ocpus else {})}


def paid(capacity: Capacity) -> dict[str, Any]:
    """How an instance is paid for. A preempted one is gone, with its boot volume."""
    if capacity.kind == "spot":
        ended = {"type": "TERMINATE", "preserve_boot_volume": False}
        return {"preemptible_instance_config": {"preemption_action": ended}}
    return {"capacity_reservation_id": capacity.id} if capacity.kind == "reservation" else {}


def kept_up(capacity: Capacity) -> dict[str, Any]:
    """What becomes of an instance whose host fails: it comes back up elsewhere."""
    return {} if capacity.kind == "spot" else {"availability_config": {"recovery_action": "RESTORE_INSTANCE"}}


def agent(fabric: str) -> dict[str, Any]:
    """What Oracle's agent does on an instance: nothing but what the fabric wants."""
    wanted = (*RDMA, GPU) if fabric == "roce" else ()
    return {
        "are_all_plugins_disabled": not wanted,
        "is_management_disabled": True,
        "is_monitoring_disabled": not wanted,
        "plugins_configs": [{"name": name, "desired_state": "ENABLED"} for name in wanted],
    }


def vnic(
    subnet: pulumi.Input[str], groups: list[pulumi.Input[str]], public: bool, host: str, labels: dict[str, str]
) -> dict[str, Any]:
    """The network interface of an instance called `host` ("": it has no name in the VCN)."""
    return {
        "subnet_id": subnet,
        "nsg_ids": groups,
        "assign_public_ip": "true" if public else "false",
        "freeform_tags": labels,
        **({"hostname_label": host} if host else {"assign_private_dns_record": False}),
    }
