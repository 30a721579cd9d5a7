"""What machines are, by what they have: those that are alike are one type, `16CPU--64GB--H100:8`. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from skyrig.catalog import facts
from skyrig.clouds.ssh.inventory import Machine

_NAME = re.compile(
    r"(?P<cpus>[0-9.]+)CPU--(?P<memory>[0-9]+)GB(--(?P<accelerator>[A-Za-z0-9._-]+?):(?P<count>[0-9]+))?(--(?P<arch>arm64))?"
)
_MAKERS = {"NVIDIA", "TESLA", "GEFORCE", "QUADRO"}
_NEAR_GB = 2


@frozen
class Kind:
    """What a machine has: cores, memory in whole GiB, accelerators (`count` of `accelerator`; "": none), processors."""

    cpus: float
    memory_gib: int
    accelerator: str = ""
    count: int = 0
    arch: str = "x86_64"

    @property
    def name(self) -> str:
        """The type that it is one of."""
        parts = [f"{self.cpus:g}CPU", f"{self.memory_gib}GB"]
        parts += [f"{self.accelerator}:{self.count}"] if self.count else []
        return "--".join([*parts, *([self.arch] if self.arch != "x86_64" else [])])

    def holds(self, wanted: Kind) -> bool:
        """Whether a machine of this kind has all that one of `wanted` has. Accelerators are the same ones, and as
        many: they are never left idle."""
        same = (self.accelerator, self.count, self.arch) == (wanted.accelerator, wanted.count, wanted.arch)
        return same and self.cpus >= wanted.cpus and self.memory_gib >= wanted.memory_gib

    def to_json(self) -> dict[str, Any]:
        """In the form of `types.json` of a cloud."""
        return {
            "cpus": self.cpus,
            "memory_gib": self.memory_gib,
            "accelerator": self.accelerator,
            "accelerator_count": self.count,
            "arch": self.arch,
        }


def named(name: str) -> Kind | None:
    """The kind that a type's name says; None where it is no name of one."""
    said = _NAME.fullmatch(name)
    if said is None:
        return None
    return Kind(
        float(said["cpus"]), int(said["memory"]), said["accelerator"] or "", int(said["count"] or 0),
        said["arch"] or "x86_64",
    )  # fmt: skip


def of(machine: Machine, seen: Mapping[str, Any]) -> Kind:
    """What a machine is: as the inventory says, and for the rest as was `seen` there."""
    accelerator, count = (machine.accelerator, machine.count) if machine.count else accelerators(seen["gpus"])
    return Kind(
        float(machine.cpus or seen["cpus"]),
        int(machine.memory_gib or seen["memory_gib"]),
        accelerator,
        count,
        "arm64" if seen["arch"] in ("aarch64", "arm64") else "x86_64",
    )


def accelerators(lines: Iterable[str]) -> tuple[str, int]:
    """Name and number of the accelerators that a driver lists, a line `NAME, MEMORY` in MiB each. Of unlike ones those
    count that there are most of."""
    found = [accelerator(line) for line in lines if line.strip()]
    if not found:
        return "", 0
    most = max(dict.fromkeys(found), key=found.count)
    return most, found.count(most)


def accelerator(line: str) -> str:
    """The catalog's name of an accelerator that NVIDIA's driver names; its own, without blanks, where it is in no
    catalog."""
    device, _, memory = line.rpartition(",")
    words = [word for word in re.split(r"[\s_-]+", device.strip()) if word.upper() not in _MAKERS]
    known: Mapping[str, Any] = facts.common("accelerators")["accelerators"]
    plain = {re.sub(r"[^A-Z0-9]", "", name.upper()): name for name in known}
    for length in range(min(len(words), 4), 0, -1):
        name = plain.get("".join(words[:length]).upper())
        if name is not None:
            gib = int(memory) / 1024 if memory.strip().isdigit() else 0
            larger = re.compile(re.escape(name) + r"-([0-9]+)GB")
            sizes = {each: abs(int(size[1]) - gib) for each in known if (size := larger.fullmatch(each))}
            return min(sizes, key=lambda each: sizes[each]) if sizes and min(sizes.values()) <= _NEAR_GB else name
    return "-".join(words[:2]) or "GPU"
