"""What a node has, as its probe said it (`skyrig.preflight.probe`): values, and how they are read.

Fields that a newer probe of the same version adds are left out on reading; another version is refused.
"""

from __future__ import annotations

import json
from typing import Any

import cattrs
from attrs import field, frozen
from cattrs.errors import BaseValidationError

from skyrig.errors import SkyrigError

VERSION = 1
"""Version of the document that is read here."""


class BadFindings(SkyrigError):
    """What a node said of itself is no findings of this version."""


@frozen
class Gpu:
    """A GPU that its driver has. Numbers are -1 where the driver does not say them: memory in MiB, clocks in MHz,
    `ecc_uncorrected` errors since the driver was loaded. `throttled` has names of `nvidia.REASONS`; `nvlinks` counts
    the links that are up. `pcie_gen` falls while a GPU idles; `pcie_gen_max` is what it and its slot can do."""

    index: int
    name: str
    uuid: str = ""
    memory_mib: int = -1
    driver: str = ""
    pcie_gen: int = -1
    pcie_gen_max: int = -1
    ecc_uncorrected: int = -1
    clock_mhz: int = -1
    max_clock_mhz: int = -1
    throttled: tuple[str, ...] = ()
    nvlinks: int = 0


@frozen
class Accelerator:
    """An accelerator that nvidia-smi does not know: `kind` is amd, tpu, neuron, or "declared" (local cloud: rehearsed,
    not there). `memory_mib` is -1 where nobody says it."""

    kind: str
    index: int
    name: str
    memory_mib: int = -1


@frozen
class Nic:
    """An interface: its IPv4 `address` ("" without one), `speed_gbps` (0 where its driver does not say), whether it is
    `up`, and its `driver` ("" on an interface that is no device of its own, as in a container)."""

    name: str
    address: str = ""
    speed_gbps: float = 0.0
    up: bool = False
    driver: str = ""


@frozen
class Port:
    """A port of a device of RDMA: `state` is ACTIVE or another word of the kernel's, `layer` InfiniBand or Ethernet
    (that is RoCE). `usable`: a program on the node can open it. `netdev` is its interface, "" without one."""

    name: str
    port: int
    state: str = ""
    rate_gbps: float = 0.0
    layer: str = ""
    usable: bool = False
    netdev: str = ""

    @property
    def works(self) -> bool:
        """Whether it can carry anything for a program on the node."""
        return self.usable and self.state == "ACTIVE"


@frozen
class Adapter:
    """An Elastic Fabric Adapter, as `Port`."""

    name: str
    state: str = ""
    rate_gbps: float = 0.0
    usable: bool = False

    @property
    def works(self) -> bool:
        """Whether it can carry anything for a program on the node."""
        return self.usable and self.state == "ACTIVE"


@frozen
class Disk:
    """A file system, where it is mounted first; sizes in GB (10^9 bytes)."""

    mount: str
    free_gb: float
    total_gb: float
    writable: bool


@frozen
class Findings:
    """What a node has. `clock` is its clock when it answered, unix time. `on_bus` counts NVIDIA's GPUs on the PCI bus:
    more than `gpus` means that the driver has lost some. Versions are "" where the node has no such thing; `nccl_tests`
    is the path of all_reduce_perf. `problems` are lines about what could not be found out."""

    hostname: str
    kernel: str
    clock: float
    version: int = VERSION
    boot: str = ""
    gpus: tuple[Gpu, ...] = ()
    on_bus: int = 0
    accelerators: tuple[Accelerator, ...] = ()
    nics: tuple[Nic, ...] = ()
    ib: tuple[Port, ...] = ()
    efa: tuple[Adapter, ...] = ()
    disks: tuple[Disk, ...] = ()
    driver: str = ""
    cuda: str = ""
    nccl: str = ""
    dcgm: str = ""
    nccl_tests: str = ""
    problems: tuple[str, ...] = field(factory=tuple)

    @property
    def devices(self) -> int:
        """All accelerators of the node, of whatever kind, those that are only declared too."""
        return len(self.gpus) + len(self.accelerators)

    @property
    def working(self) -> tuple[Port, ...]:
        """The ports that work: those of InfiniBand, or all where there are none of it."""
        layer = [port for port in self.ib if port.layer == "InfiniBand"] or list(self.ib)
        return tuple(port for port in layer if port.works)

    @property
    def rails(self) -> tuple[Port, ...]:
        """The quickest of these, which a fabric is made of: slower ones are for storage or control."""
        most = max((port.rate_gbps for port in self.working), default=0.0)
        return tuple(port for port in self.working if port.rate_gbps == most)

    @classmethod
    def read(cls, said: str) -> Findings:
        """What the probe printed; lines around it, as of a chatty login, do not matter. BadFindings where there is
        none, or it is of another version."""
        lines = [line for line in said.splitlines() if line.startswith('{"version":')]
        if not lines:
            last = next((line for line in reversed(said.splitlines()) if line.strip()), "nothing at all")
            raise BadFindings(f"the node's probe said no findings: {last.strip()[:200]}")
        try:
            data = json.loads(lines[-1])
        except ValueError as error:
            raise BadFindings(f"the findings of the node are cut off: {error}") from None
        return cls.from_json(data)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Findings:
        """From the object of `to_json`. BadFindings names what is wrong."""
        if data.get("version") != VERSION:
            hint = "the client and the head are of different versions"
            raise BadFindings(f"findings of version {data.get('version')}, read is {VERSION}", hint=hint)
        try:
            return _CONVERTER.structure(data, cls)
        except (BaseValidationError, ValueError, TypeError) as error:
            raise BadFindings(f"findings of a node: {'; '.join(cattrs.transform_error(error))}") from None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        data: dict[str, Any] = json.loads(json.dumps(_CONVERTER.unstructure(self)))
        return data


_CONVERTER = cattrs.Converter()
