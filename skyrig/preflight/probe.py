"""Run on a node (stdlib only, Python 3.8): what the node has, as one JSON object, version 1 (what it means stands in
`skyrig.preflight.findings`). Nothing is changed by looking; what hangs is left after a while and said in `problems`.

`given` is its JSON input: {"root": FOLDER} reads a folder that looks like a machine in the place of this one
whose bin/ holds the programs; {"patience_s": S} is how long each program may take.
"""

from __future__ import annotations

import functools
import json
import os
import re
import socket
import subprocess
import threading
import time

from skyrig.preflight.adapters import at, efa, interfaces, is_living, look_at, names, number, ports, text
from skyrig.preflight.nvidia import DECLARED, SILENT, cuda, gpus, nvlinks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

VERSION = 1
PATIENCE_S = 20.0
"""How long one program may take: nvidia-smi needs seconds on a node of eight GPUs whose driver keeps no state."""

_DISK_S = 5.0
"""How long file systems may take all together: those whose server is gone never answer."""

_NVIDIA = "0x10de"
_LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/local/lib", "/usr/local/cuda/lib64",
    "/opt/nccl/build/lib", "/usr/local/nccl/lib", "/usr/local/nvidia/lib64", "/var/lib/tcpx/lib64",
    "/var/lib/tcpxo/lib64", "/usr/local/gib/lib64",
)  # fmt: skip
_NCCL_TESTS = (
    "/opt/nccl-tests/build", "/usr/local/bin", "/usr/local/nccl-tests/build", "/opt/nccl_tests/build",
    "/usr/local/gib/bin", "/root/nccl-tests/build",
)  # fmt: skip
_REAL_DISKS = (
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "nfs", "nfs4", "lustre", "wekafs", "beegfs",
)  # fmt: skip
_CHIPS = {
    ("0x1ae0", "0x0027"): "TPU v3",
    ("0x1ae0", "0x005e"): "TPU v4",
    ("0x1ae0", "0x0062"): "TPU v5p",
    ("0x1ae0", "0x0063"): "TPU v5e",
    ("0x1ae0", "0x006f"): "TPU v6e",
    ("0x1ae0", "0x0076"): "TPU v7x",
}
"""Chips by vendor and device on the PCI bus, as google/jax knows them (jax/_src/hardware_utils.py)."""


class Node:
    """A node that is looked at: its programs, and what could not be found out."""

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self.problems: list[str] = []
        self._silent: set[str] = set()

    def find(self, program: str) -> str:
        """Where a program is; "" where the node has none of that name."""
        folders = [at("/bin")] if not is_living() else os.environ.get("PATH", os.defpath).split(":")
        places = [os.path.join(folder, program) for folder in folders]
        return next((each for each in places if os.path.isfile(each) and os.access(each, os.X_OK)), "")

    def run(self, command: list[str]) -> tuple[int, str]:
        """Exit code and whole output of a program that the node has; one that hung once is not asked again."""
        program = self.find(command[0])
        if not program or command[0] in self._silent:
            return 127, ""
        process = subprocess.Popen([program, *command[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        try:
            said, _ = process.communicate(timeout=self.patience_s)
        except subprocess.TimeoutExpired:
            if command[0] not in self._silent:
                self.problems.append(f"{command[0]} did not answer within {self.patience_s:g} s")
            self._silent.add(command[0])
            _leave(process)
            return SILENT, ""
        return process.returncode, said.decode(errors="replace")


def _together(works: list[Callable[[], Any]], within_s: float) -> list[Any]:
    """What each of these gives, all begun at once; None for one that has not come to an end in time."""
    found: list[Any] = [None] * len(works)

    def do(number: int) -> None:
        found[number] = works[number]()

    threads = [threading.Thread(target=do, args=(number,), daemon=True) for number in range(len(works))]
    for thread in threads:
        thread.start()
    end = time.monotonic() + within_s
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return list(found)


def _leave(process: subprocess.Popen[bytes]) -> None:
    """End a program's whole session; one that the kernel does not let go of is left to it."""
    try:
        os.killpg(process.pid, 9)
        process.wait(timeout=1)
    except (OSError, subprocess.TimeoutExpired):
        pass
    if process.stdout:
        process.stdout.close()


def look(patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """All that is found on this node."""
    node = Node(patience_s)
    there, declared, version = _gpus(node)
    return {
        "version": VERSION,
        "hostname": socket.gethostname() if is_living() else text("/proc/sys/kernel/hostname"),
        "kernel": text("/proc/sys/kernel/osrelease") or os.uname().release,
        "boot": text("/proc/sys/kernel/random/boot_id"),
        "gpus": there,
        "on_bus": _on_bus(),
        "accelerators": declared + _others(node),
        "nics": interfaces(),
        "ib": ports(),
        "efa": efa(),
        "disks": _disks(node),
        "driver": next((gpu["driver"] for gpu in there), text("/sys/module/nvidia/version")),
        "cuda": version,
        "nccl": _nccl(),
        "dcgm": _dcgm(node),
        "nccl_tests": _nccl_tests(node),
        "problems": node.problems,
        "clock": clock(),  # last, so that whoever reads it knows that it was said just now
    }


def _gpus(node: Node) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """(GPUs, accelerators that a node of the local cloud only declares, the version of CUDA)."""
    if not node.find("nvidia-smi"):
        return [], [], ""
    found, problems = gpus(node.run)
    node.problems += [each for each in problems if each not in node.problems]
    declared = [gpu for gpu in found if DECLARED in gpu["name"]]
    version = ""
    if found and not declared:
        # At once: where the driver keeps no state each of them would wake all GPUs for itself.
        asked: list[Callable[[], Any]] = [lambda: node.run(["nvidia-smi", "nvlink", "-s"])[1], lambda: _cuda(node)]
        said, version = _together(asked, 3 * node.patience_s)
        links = nvlinks(said or "")
        for gpu in found:
            gpu["nvlinks"] = links.get(gpu["uuid"], 0)
    return [gpu for gpu in found if gpu not in declared], [
        {"kind": "declared", "index": gpu["index"], "name": gpu["name"].partition(" (")[0],
         "memory_mib": gpu["memory_mib"]}
        for gpu in declared
    ], version or ""  # fmt: skip


def _on_the_bus() -> list[str]:
    return [f"/sys/bus/pci/devices/{name}" for name in names("/sys/bus/pci/devices")]


def _on_bus() -> int:
    """How many GPUs of NVIDIA the PCI bus has, whether its driver has them or not."""
    return sum(
        text(f"{each}/vendor") == _NVIDIA and text(f"{each}/class")[:6] in ("0x0300", "0x0302")
        for each in _on_the_bus()
    )


def _others(node: Node) -> list[dict[str, Any]]:
    """Accelerators of other kinds: GPUs of AMD by their driver, chips of TPUs and Neuron by their files in /dev."""
    found: list[dict[str, Any]] = []
    for name in names("/sys/class/kfd/kfd/topology/nodes"):
        rows = text(f"/sys/class/kfd/kfd/topology/nodes/{name}/properties").splitlines()
        said = dict(row.split(None, 1) for row in rows if " " in row)
        if number(said.get("simd_count", "")) > 0:  # processors of the machine are nodes too, without any
            found.append(_accelerator("amd", len(found), _amd(said)))
    ids = [(text(f"{each}/vendor"), text(f"{each}/device")) for each in _on_the_bus()]
    chips = [_CHIPS[each] for each in ids if each in _CHIPS]
    found += [_accelerator("tpu", index, name) for index, name in enumerate(chips)]
    neurons = [name for name in names("/dev") if re.fullmatch(r"neuron\d+", name)]
    found += [_accelerator("neuron", index, "Neuron") for index, _ in enumerate(neurons)]
    return found


def _amd(said: dict[str, str]) -> str:
    """The processor that a GPU of AMD is: 90402 is gfx942."""
    version = int(number(said.get("gfx_target_version", "")))
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}" if version else "AMD GPU"


def _accelerator(kind: str, index: int, name: str) -> dict[str, Any]:
    return {"kind": kind, "index": index, "name": name, "memory_mib": -1}


def _disks(node: Node) -> list[dict[str, Any]]:
    """The file systems that programs write to: home, temporary files, shared memory, and disks."""
    rows = [line.split() for line in text("/proc/mounts").splitlines()]
    mounts = [row[1] for row in rows if len(row) > 2 and row[2] in _REAL_DISKS]
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    places = list(dict.fromkeys(["/", os.path.expanduser("~"), "/tmp", "/dev/shm", *mounts]))
    asked: list[Callable[[], Any]] = [functools.partial(_filled, at(place)) for place in places]
    for place, said in zip(places, _together(asked, _DISK_S)):  # noqa: B905  (strict is of 3.10)
        if said is None:
            node.problems.append(f"{place} did not answer within {_DISK_S:g} s")
        if not said:
            continue
        device, size = said
        if device in seen or not size.f_blocks:
            continue
        seen.add(device)
        readonly = bool(size.f_flag & os.ST_RDONLY)
        found.append({
            "mount": place,
            "free_gb": round(size.f_bavail * size.f_frsize / 1e9, 3),
            "total_gb": round(size.f_blocks * size.f_frsize / 1e9, 3),
            "writable": not readonly,
        })  # fmt: skip
    return found


def _filled(real: str) -> tuple[Any, ...]:
    """(Device, how full it is) of a place; nothing where there is none."""
    try:
        return os.stat(real).st_dev, os.statvfs(real)
    except OSError:
        return ()


def _cuda(node: Node) -> str:
    return cuda(node.run(["nvidia-smi", "--version"])[1]) or cuda(node.run(["nvidia-smi"])[1])


def _nccl() -> str:
    """The version of the NCCL that lies on the node: of a library by its name, of a python package by its folder."""
    for folder in _LIBRARIES:
        for name in names(folder):
            version = name.partition("libnccl.so.")[2]
            if version.count(".") == 2:
                return version
    prefix = os.environ.get("VIRTUAL_ENV", "")
    for folder in names(f"{prefix}/lib") if prefix and is_living() else []:
        for name in names(f"{prefix}/lib/{folder}/site-packages"):
            package = re.fullmatch(r"nvidia_nccl_cu\d+-([0-9.]+)\.dist-info", name)
            if package:
                return package.group(1)
    return ""


def _dcgm(node: Node) -> str:
    if not node.find("dcgmi"):
        return ""
    version = re.search(r"version:?\s*([0-9.]+)", node.run(["dcgmi", "--version"])[1], re.IGNORECASE)
    return version.group(1) if version else "unknown"


def _nccl_tests(node: Node) -> str:
    """Where all_reduce_perf of nccl-tests is; "" where it is not installed."""
    known = [f"{folder}/all_reduce_perf" for folder in _NCCL_TESTS]
    return node.find("all_reduce_perf") or next((p for p in known if os.access(at(p), os.X_OK)), "")


def clock() -> float:
    """The node's clock, unix time; a node of the local cloud may be told to be off on purpose (`local.clock`)."""
    return time.time() + _told_off()


def _told_off() -> float:
    lock = os.environ.get("SKYRIG_NODE_LOCK", "")
    if not lock or not is_living():
        return 0.0
    try:
        with open(os.path.join(os.path.dirname(lock), "home", ".skyrig", "clock"), encoding="utf-8") as file:
            return float(file.read())
    except (OSError, ValueError):
        return 0.0


def run(given: dict[str, Any]) -> None:
    """Print what is found."""
    look_at(str(given.get("root", "")))
    print(json.dumps(look(float(given.get("patience_s", PATIENCE_S)))), flush=True)
