"""A node's devices against what it shall have, and against what the other nodes have. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from skyrig.preflight.asked import Asked, Devices
from skyrig.preflight.findings import Findings
from skyrig.preflight.report import BAD, WARN

Reason = tuple[str, str]
"""WARN or BAD, and why in one clause."""

_BRAKES = ("hw", "thermal", "brake")
"""Words in the reasons for which an accelerator runs slower than it could that are nobody's wish."""

_KINDS = {
    "tpu": "tpu",
    "trainium": "neuron",
    "inferentia": "neuron",
    "radeon": "amd",
    "mi": "amd",
    "gaudi": "gaudi",
    "qualcomm": "qualcomm",
}
"""Kinds of accelerators that are not NVIDIA's, by how the catalog's names for them begin."""

_UNSEEN = ("gaudi", "qualcomm")
"""Those that no probe looks for."""

_NAMELESS = ("neuron", "amd")
"""Those whose drivers have other names for them than the catalog."""

_SYSTEM = ("/boot", "/snap", "/efi", "/etc", "/usr", "/proc", "/sys")
"""Places that no job writes to."""

_MOST_PROBLEMS = 2


def reasons(found: Findings, others: Sequence[Findings], asked: Asked) -> Iterator[Reason]:
    """What is wrong with the devices of a node."""
    yield from _accelerators(found, asked)
    yield from ((WARN, problem) for problem in found.problems[:_MOST_PROBLEMS])
    yield from _health(found)
    yield from _like_others(found, others, asked)
    yield from _network(found, others, asked)
    yield from _disks(found, asked)


def named(found: Findings) -> str:
    """What a node has, in short."""
    names = Counter(gpu.name for gpu in found.gpus) or Counter(each.name for each in found.accelerators)
    parts = [f"{count}x {name}" for name, count in names.items()]
    parts += [f"driver {found.driver}"] if found.driver else []
    for what, devices in (("IB", found.ib), ("EFA", found.efa)):
        parts += [f"{len(devices)} {what}"] if devices else []
    return ", ".join(parts)


def _accelerators(found: Findings, asked: Asked) -> Iterator[Reason]:
    wanted, kind = asked.devices, _kind(asked.devices)
    if not wanted.count or kind in _UNSEEN:
        return
    others = [each.name for each in found.accelerators if each.kind == kind]
    there = [gpu.name for gpu in found.gpus] if kind == "nvidia" else others
    what = f"{wanted.accelerator} " if wanted.accelerator else ""
    if len(there) < wanted.count:
        gone = ": no driver answers" if kind == "nvidia" and not there and not found.driver else ""
        yield BAD, f"it has {len(there)} of {wanted.count} {what}accelerators{gone}"
    strange = sorted({name for name in there if not is_called(name, wanted.accelerator)})
    if strange and kind not in _NAMELESS:
        yield BAD, f"it has {', '.join(strange)} where {wanted.accelerator} is expected"


def _kind(wanted: Devices) -> str:
    """What its probe calls accelerators of the wanted name: NVIDIA's are the GPUs of a node."""
    name = wanted.accelerator.lower()
    return (
        "declared"
        if wanted.declared
        else next((kind for start, kind in _KINDS.items() if name.startswith(start)), "nvidia")
    )


def is_called(name: str, catalog: str) -> bool:
    """Whether a device that calls itself `name` ("NVIDIA H100 80GB HBM3") may be the catalog's `catalog` ("H100-80GB");
    so it is where the catalog says nothing."""
    theirs = "".join(each for each in name.lower() if each.isalnum())
    words = [word for word in catalog.lower().replace("_", "-").split("-") if word]
    return not words or words[0] in theirs or theirs in words[0]


def _health(found: Findings) -> Iterator[Reason]:
    for gpu in found.gpus:
        if gpu.ecc_uncorrected > 0:
            yield BAD, f"accelerator {gpu.index} has {gpu.ecc_uncorrected} uncorrected memory errors"
        held = [why for why in gpu.throttled if any(word in why.lower() for word in _BRAKES)]
        if held:
            yield WARN, f"accelerator {gpu.index} is slowed down: {', '.join(held)}"


def _like_others(found: Findings, others: Sequence[Findings], asked: Asked) -> Iterator[Reason]:
    if not found.gpus:
        return
    driver = _usual([each.driver for each in others if each.driver])
    if driver and found.driver != driver:
        yield WARN, f"its driver is {found.driver or 'not there'}, that of the others {driver}"
    if 0 < _nvlinks(found) < asked.devices.nvlinks:  # none at all is also what a program says that cannot tell
        yield BAD, f"an accelerator has {_nvlinks(found)} of {asked.devices.nvlinks} NVLinks"
    elif odd := _odd(found, others, _nvlinks):
        yield BAD, f"an accelerator has {odd[0]} NVLinks, those of the others {odd[1]}"
    if odd := _odd(found, others, lambda each: min((gpu.pcie_gen_max for gpu in each.gpus), default=0)):
        yield WARN, f"an accelerator is at PCIe generation {odd[0]}, those of the others at {odd[1]}"


def _network(found: Findings, others: Sequence[Findings], asked: Asked) -> Iterator[Reason]:
    kinds: dict[str, tuple[int, Callable[[Findings], int]]] = {
        "network devices that are up": (asked.devices.nics, _nics),
        "InfiniBand or RoCE ports at full rate": (asked.devices.ib, _ports),
        "EFA devices": (asked.devices.efa, lambda each: sum(one.works for one in each.efa)),
    }
    slow = _odd(found, others, lambda each: int(min((port.rate_gbps for port in each.working), default=0)))
    if slow and not slow[0]:
        slow = None  # none works: that is a matter of their number
    if slow:
        yield BAD, f"an InfiniBand or RoCE port runs at {slow[0]} Gb/s, those of the others at {slow[1]}"
    for what, (wanted, count) in kinds.items():
        if slow and count is _ports and len(found.working) >= wanted:
            continue  # that is said
        if count(found) < wanted:
            yield BAD, f"it has {count(found)} of {wanted} {what}"
        elif count is not _nics and (odd := _odd(found, others, count)):
            yield BAD, f"it has {odd[0]} {what}, the others {odd[1]}"


def _nvlinks(found: Findings) -> int:
    return min((gpu.nvlinks for gpu in found.gpus), default=0)


def _nics(found: Findings) -> int:
    return sum(bool(each.up) for each in found.nics)


def _ports(found: Findings) -> int:
    """Ports of the rate that most have: others are for control or storage, or came up slower than they should."""
    return max(Counter(port.rate_gbps for port in found.working).values(), default=0)


def _disks(found: Findings, asked: Asked) -> Iterator[Reason]:
    limits, told = asked.limits, set()
    for disk in found.disks:
        if (disk.free_gb, disk.total_gb) in told:
            continue  # the same disk, seen at another place
        told.add((disk.free_gb, disk.total_gb))
        if not disk.mount.startswith(_SYSTEM) and disk.free_gb < min(limits.disk_free * disk.total_gb, limits.disk_gb):
            yield WARN, f"{disk.free_gb:.1f} of {disk.total_gb:.0f} GB are free at {disk.mount}"


def _usual(values: Sequence[str]) -> str:
    """The value that most have; "" where nobody has one."""
    return Counter(values).most_common(1)[0][0] if values else ""


def _odd(found: Findings, others: Sequence[Findings], count: Callable[[Findings], int]) -> tuple[int, int] | None:
    """A number that is lower than the one that most of the others have, which are two at least: of two nodes that
    differ, nobody knows which is right. None where it is not."""
    theirs = Counter(map(count, others)).most_common(1)
    own = count(found)
    if not theirs or theirs[0][1] < max(2, len(others) / 2) or own >= theirs[0][0]:
        return None
    return own, theirs[0][0]
