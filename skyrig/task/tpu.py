"""TPUs as accelerators: which cloud has them, and the software that SkyPilot 0.14.1 takes where none is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from skyrig.task.infra import Infra
from skyrig.task.node import Node

_ON_KUBERNETES = (
    "tpu-v4-podslice",
    "tpu-v5-lite-device",
    "tpu-v5-lite-podslice",
    "tpu-v5p-slice",
    "tpu-v6e-slice",
    "tpu7x",
)
"""Names that GKE gives to TPUs; all other ones are Google Cloud's own."""

_VERSIONS = {"tpu-v5": "v2-alpha-tpuv5", "tpu-v6e": "v2-alpha-tpuv6e"}
_VERSION = "tpu-vm-base"
_VERSION_OF_NODES = "2.12.0"


def is_one(name: str) -> bool:
    """Whether an accelerator is a TPU."""
    return "tpu" in name.lower()


def placed(
    node: Node, name: str, place: Infra, args: Mapping[str, Any] | None, instance_type: str | None
) -> tuple[Infra, Mapping[str, Any]]:
    """The place of a TPU, its cloud filled in, and its arguments, the runtime version filled in."""
    on_kubernetes = name in _ON_KUBERNETES
    cloud = place.cloud or ("kubernetes" if on_kubernetes else "gcp")
    if cloud not in ("gcp", "kubernetes"):
        raise node.wrong(f"TPUs are on gcp and kubernetes alone, not on {cloud}")
    given = dict(args or {})
    if cloud == "gcp" and not on_kubernetes:
        on_machine = given.get("tpu_vm", True)
        if on_machine and instance_type not in (None, "TPU-VM"):
            raise node.wrong(f"a TPU has no instance_type but TPU-VM, not {instance_type!r}")
        usual = next((version for start, version in _VERSIONS.items() if name.startswith(start)), _VERSION)
        given.setdefault("runtime_version", usual if on_machine else _VERSION_OF_NODES)
    return evolve(place, cloud=cloud), given
