#!/usr/bin/env python3
"""Prints one line for each accelerator of this machine; exits 1, with one line that says why, where those that it was
declared to have are not there. What was found lies in checked.json beside this file, with the boot that it is of."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = Path(os.environ.get("SKYRIG_ROOT", "/"))
PROGRAMS = "/opt/aws/neuron/bin:/opt/rocm/bin:"
ANSWER_S = 120
NVIDIA = ("nvidia-smi", "--query-gpu=index,name,memory.total,driver_version", "--format=csv,noheader")
NEURON = ("neuron-ls", "--json-output")
AMD = ("rocm-smi", "--showproductname", "--json")
GAUDI = ("hl-smi", "-Q", "index,name,driver_version", "-f", "csv,noheader")


def asked(argv, read):
    """The lines that `read` makes of a driver's answer, and why there are none."""
    program = shutil.which(argv[0], path=PROGRAMS + os.environ.get("PATH", os.defpath))
    if not program:
        return [], f"there is no {argv[0]} on this image"
    try:
        done = subprocess.run((program, *argv[1:]), capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired:
        return [], f"{argv[0]} did not answer within {ANSWER_S} s"
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        return [], f"{argv[0]} exited with {done.returncode} and said: {said[0]}"
    try:
        return read(done.stdout), ""
    except (ValueError, LookupError, TypeError, AttributeError):
        return [], f"{argv[0]} said what is not understood: {done.stdout[:80]!r}"


def csv(text):
    """One accelerator a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def neuron(text):
    """Neuron devices of neuron-ls."""
    return [f"{each['neuron_device']}, {each['nc_count']} NeuronCores" for each in json.loads(text)]


def amd(text):
    """Cards of rocm-smi."""
    cards = sorted((name, said) for name, said in json.loads(text).items() if name.startswith("card"))
    return [f"{name[4:]}, {said.get('Card Series') or said.get('Card series', '')}" for name, said in cards]


def named(folder, pattern):
    """Names in a folder that match, sorted."""
    folder = ROOT / folder
    found = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    return sorted((name for name in found if re.fullmatch(pattern, name)), key=lambda name: (len(name), name))


def accelerators(name):
    """Lines for the accelerators called `name`, and why there are none."""
    if not name:
        return [], ""
    if name.lower().startswith("tpu"):  # the older chips are /dev/accelN, the newer ones a group of vfio each
        found = named("dev", r"accel\d+") or named("dev/vfio", r"\d+")
        return found, "" if found else "there is neither /dev/accel* nor /dev/vfio/*"
    if name.startswith(("Trainium", "Inferentia")):
        return asked(NEURON, neuron)
    if re.match(r"MI\d|Radeon", name):
        return asked(AMD, amd)
    if name.startswith("Gaudi"):
        return asked(GAUDI, csv)
    if name.startswith("Qualcomm"):
        return [], "how to look for these is not known here"
    return asked(NVIDIA, csv)


def looked(node):
    """What there is of what the node was declared to have."""
    found, why = accelerators(node["accelerator"])
    devices = named("sys/class/infiniband", r".+")
    wanted = max(-int(-node["count"] // 1), 1) if node["accelerator"] else 0
    problem = ""
    if len(found) < wanted:
        problem = f"{wanted} {node['accelerator']} declared, {len(found)} found" + (f": {why}" if why else "")
    elif node["fabric"] in ("efa", "infiniband", "rdma") and not devices:
        problem = f"fabric {node['fabric']} declared, no device of it found"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"boot": boot, "ok": not problem, "problem": problem, "accelerators": found, "fabric": devices}


def main():
    """Look, say, write; the exit status."""
    node = json.loads((HERE / "node.json").read_text())
    checked = looked(node)
    if os.access(HERE, os.W_OK):  # who may not write here has looked all the same
        new = HERE / "checked.json.new"
        new.write_text(json.dumps(checked))
        new.chmod(0o644)
        new.replace(HERE / "checked.json")
    for line in checked["accelerators"]:
        print(node["accelerator"], line)
    if checked["problem"]:
        print("skyrig check:", checked["problem"], file=sys.stderr)
    return 1 if checked["problem"] else 0


if __name__ == "__main__":
    sys.exit(main())
