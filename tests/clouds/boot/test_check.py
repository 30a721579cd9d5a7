"""The check of accelerators: what it prints, what it leaves beside itself, and when it fails, with what one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from boot_cases import HERE, programs

from skyrig.fleet.local.declared import nvidia_smi

NEURON = '[{"neuron_device": 0, "nc_count": 2}, {"neuron_device": 1, "nc_count": 2}]'
AMD = '{"card1": {"Card Series": "MI300X"}, "card0": {"Card Series": "MI300X"}, "system": {}}'


def nvidia(name: str, count: int) -> str:
    """The program by which local nodes answer for accelerators that are declared."""
    return nvidia_smi({"name": name, "count": count, "declared": True}) or ""


@attrs.frozen
class Checked:
    """What one run of it said, and left."""

    code: int
    lines: list[str]
    complaint: str
    left: dict[str, Any]


class Machine:
    """A machine with some drivers' programs and devices, and what it was declared to have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        self.program = folder / "check"
        self.program.write_text(programs(HERE / "cases" / "aws-cpu.json")["check"])

    def has(self, name: str, text: str) -> None:
        """A program."""
        (self.folder / "bin" / name).write_text(text)
        (self.folder / "bin" / name).chmod(0o755)

    def device(self, path: str) -> None:
        """A device."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).touch()

    def check(self, accelerator: str = "", count: float = 0, fabric: str = "none") -> Checked:
        node = {"accelerator": accelerator, "count": count, "fabric": fabric}
        (self.folder / "node.json").write_text(json.dumps(node))
        env = {"SKYRIG_ROOT": str(self.folder), "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin"}
        argv = [sys.executable, "-I", str(self.program)]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
        left = json.loads((self.folder / "checked.json").read_text())
        return Checked(done.returncode, done.stdout.splitlines(), done.stderr.strip(), left)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_cpu_node_has_nothing_to_find(machine: Machine) -> None:
    checked = machine.check()
    assert (checked.code, checked.lines, checked.complaint) == (0, [], "")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert checked.left == {"boot": boot, "ok": True, "problem": "", "accelerators": [], "fabric": []}


def test_one_line_for_each_gpu(machine: Machine) -> None:
    machine.has("nvidia-smi", nvidia("H100", 8))
    checked = machine.check("H100", 8)
    assert checked.code == 0, checked.complaint
    assert [line.split(",")[0] for line in checked.lines] == [f"H100 {number}" for number in range(8)]
    assert all("81559 MiB" in line for line in checked.lines)
    assert checked.left["ok"] and len(checked.left["accelerators"]) == 8


def test_fewer_than_declared_is_a_failure(machine: Machine) -> None:
    machine.has("nvidia-smi", nvidia("H100", 7))
    checked = machine.check("H100", 8)
    assert (checked.code, checked.complaint) == (1, "skyrig check: 8 H100 declared, 7 found")
    assert (len(checked.lines), checked.left["ok"]) == (7, False)
    assert checked.left["problem"] == "8 H100 declared, 7 found"


def test_a_share_of_one_is_one_and_no_count_is_one_at_least(machine: Machine) -> None:
    machine.has("nvidia-smi", nvidia("A10", 1))
    assert machine.check("A10", 1 / 6).code == 0
    assert machine.check("A10").code == 0
    assert machine.check("A10", 1.5).complaint == "skyrig check: 2 A10 declared, 1 found"


BROKEN = {
    "mismatch": ('echo "Failed to initialize NVML: Driver/library version mismatch"; exit 18', "exited with 18"),
    "other words": ("printf '\\n'", "1 L4 declared, 0 found"),
    "error stream": ("echo no devices >&2; exit 6", "nvidia-smi exited with 6 and said: no devices"),
}


@pytest.mark.parametrize(("text", "why"), BROKEN.values(), ids=list(BROKEN))
def test_a_driver_that_does_not_work_is_told_in_one_line(machine: Machine, text: str, why: str) -> None:
    machine.has("nvidia-smi", f"#!/bin/sh\n{text}\n")
    checked = machine.check("L4", 1)
    assert checked.code == 1 and why in checked.complaint and len(checked.complaint.splitlines()) == 1


@pytest.mark.skipif(Path("/usr/bin/nvidia-smi").exists(), reason="this machine has a driver")
def test_an_image_without_driver_is_told(machine: Machine) -> None:
    assert machine.check("L4", 1).complaint.endswith("1 L4 declared, 0 found: there is no nvidia-smi on this image")


def test_neuron_amd_and_gaudi_devices_are_counted(machine: Machine) -> None:
    machine.has("neuron-ls", f"#!/bin/sh\necho '{NEURON}'\n")
    machine.has("rocm-smi", f"#!/bin/sh\necho '{AMD}'\n")
    machine.has("hl-smi", "#!/bin/sh\nprintf '0, HL-205, 1.2\\n1, HL-205, 1.2\\n'\n")
    assert machine.check("Trainium", 2).lines == ["Trainium 0, 2 NeuronCores", "Trainium 1, 2 NeuronCores"]
    assert machine.check("MI300X", 2).lines == ["MI300X 0, MI300X", "MI300X 1, MI300X"]
    assert machine.check("Gaudi HL-205", 2).code == 0
    machine.has("neuron-ls", "#!/bin/sh\necho not json\n")
    assert "neuron-ls said what is not understood" in machine.check("Trainium", 2).complaint


@pytest.mark.parametrize("names", [["dev/accel0", "dev/accel1"], ["dev/vfio/0", "dev/vfio/1", "dev/vfio/vfio"]])
def test_tpu_chips_are_devices(machine: Machine, names: list[str]) -> None:
    assert "there is neither /dev/accel* nor /dev/vfio/*" in machine.check("tpu-v5e-8", 2).complaint
    for name in names:
        machine.device(name)
    assert len(machine.check("tpu-v5e-8", 2).lines) == 2
    assert machine.check("tpu-v5e-8", 4).code == 1


def test_a_fabric_without_devices_is_told(machine: Machine) -> None:
    assert machine.check(fabric="efa").complaint == "skyrig check: fabric efa declared, no device of it found"
    assert machine.check(fabric="tcpx").code == 0  # plain network devices
    machine.device("sys/class/infiniband/rdmap16s27")
    assert machine.check(fabric="efa").left["fabric"] == ["rdmap16s27"]
