"""What nvidia-smi says of a node's GPUs: asked with a limit, read as a text that may be broken in the midst.

Runs on nodes: standard library only, Python 3.8 or newer. Fields are those of `nvidia-smi --help-query-gpu`; a driver
that does not know one says "Field "X" is not a valid field to query.", and is asked again without it.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Run = Callable[[list[str]], "tuple[int, str]"]
    Gpu = dict[str, Any]

REASONS = {
    "hw_slowdown": "clocks_throttle_reasons.hw_slowdown",
    "hw_thermal": "clocks_throttle_reasons.hw_thermal_slowdown",
    "hw_power_brake": "clocks_throttle_reasons.hw_power_brake_slowdown",
    "sw_thermal": "clocks_throttle_reasons.sw_thermal_slowdown",
    "sw_power_cap": "clocks_throttle_reasons.sw_power_cap",
}
"""Why a GPU may run slower than it can. The last one is what a GPU under full load says, and no fault."""

FIELDS = (
    "index",
    "name",
    "uuid",
    "memory.total",
    "driver_version",
    "pcie.link.gen.current",
    "pcie.link.gen.max",
    "ecc.errors.uncorrected.volatile.total",
    "clocks.current.sm",
    "clocks.max.sm",
    *REASONS.values(),
)
DECLARED = "declared by Skyrig, not present"
"""What nodes of the local cloud say of accelerators that are rehearsed."""

SILENT = 124
"""Exit code that stands for a program that did not answer in time."""

_NOT_A_FIELD = re.compile(r'Field "([^"]+)" is not a valid field')
_LINK = re.compile(r"Link \d+: [0-9.]+ GB/s")
_CUDA = re.compile(r"CUDA Version\s*:\s*([0-9.]+)")
_UUID = re.compile(r"\(UUID: ([^)]+)\)")


def gpus(run: Run) -> tuple[list[Gpu], list[str]]:
    """(GPUs that answer, what is wrong) as nvidia-smi tells it; `run` gives exit code and output of a command."""
    fields = list(FIELDS)
    for _ in FIELDS:
        code, said = run(["nvidia-smi", "--query-gpu=" + ",".join(fields), "--format=csv,noheader,nounits"])
        unknown = _NOT_A_FIELD.search(said)
        if unknown is None or unknown.group(1) not in fields:
            break
        if unknown.group(1) == REASONS["hw_slowdown"]:  # the oldest of them: this driver has their newer names alone
            fields = [_newer(field) for field in fields]
        else:
            fields.remove(unknown.group(1))
    found, problems = parsed(said, fields)
    if code not in (0, SILENT) and not problems:
        problems.append(f"nvidia-smi ended with code {code}")
    return found, problems


def parsed(said: str, fields: list[str]) -> tuple[list[Gpu], list[str]]:
    """(GPUs, lines that are about none) of the CSV of these fields."""
    found: list[Gpu] = []
    problems: list[str] = []
    for line in filter(None, map(str.strip, said.splitlines())):
        values = [value.strip() for value in line.split(",")]
        more = len(values) - len(fields)
        if more > 0 and "name" in fields:  # a declared one has a comma in its name
            at = fields.index("name")
            values[at : at + more + 1] = [", ".join(values[at : at + more + 1])]
        if len(values) == len(fields) and values[0].isdigit():
            found.append(_gpu(dict(zip(fields, values))))  # noqa: B905  (strict is of 3.10)
        else:
            problems.append(f"nvidia-smi: {line[:200]}")
    return found, problems


def _gpu(row: dict[str, str]) -> Gpu:
    return {
        "index": int(row["index"]),
        "name": row.get("name", ""),
        "uuid": row.get("uuid", ""),
        "memory_mib": _whole(row, "memory.total"),
        "driver": row.get("driver_version", ""),
        "pcie_gen": _whole(row, "pcie.link.gen.current"),
        "pcie_gen_max": _whole(row, "pcie.link.gen.max"),
        "ecc_uncorrected": _whole(row, "ecc.errors.uncorrected.volatile.total"),
        "clock_mhz": _whole(row, "clocks.current.sm"),
        "max_clock_mhz": _whole(row, "clocks.max.sm"),
        "throttled": [name for name, field in REASONS.items() if "Active" in (row.get(field), row.get(_newer(field)))],
        "nvlinks": 0,
    }


def _newer(field: str) -> str:
    """What drivers since 535 call a reason to run slower."""
    return field.replace("clocks_throttle_reasons.", "clocks_event_reasons.")


def _whole(row: dict[str, str], field: str) -> int:
    """A number of a row; -1 where the GPU has none: "[N/A]", "[Unknown Error]"."""
    try:
        return int(float(row.get(field, "")))
    except ValueError:
        return -1


def nvlinks(said: str) -> dict[str, int]:
    """Links that are up of each GPU, by its UUID, in what `nvidia-smi nvlink -s` says."""
    counts: dict[str, int] = {}
    uuid = ""
    for line in said.splitlines():
        if line.startswith("GPU "):
            named = _UUID.search(line)
            uuid = named.group(1) if named else ""
            counts[uuid] = 0
        elif uuid and _LINK.search(line):
            counts[uuid] += 1
    return counts


def cuda(said: str) -> str:
    """The version of CUDA that the driver knows, in what nvidia-smi says; "" where it is not there."""
    found = _CUDA.search(said)
    return found.group(1) if found else ""
