#!/usr/bin/env python3
"""Prints one line for each accelerator of this machine; exits 1, with one line that says why, where those that it was
declared to have are not there. What was found lies in checked.json beside this file, with the boot that it is of."""

import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DEVICES = os.environ.get("SKYRIG_DEVICES", "/")
NVIDIA = ("nvidia-smi", "--query-gpu=index,name,memory.total,driver_version", "--format=csv,noheader")
NEURON = ("neuron-ls", "--json-output")
AMD = ("rocm-smi", "--showproductname", "--json")
GAUDI = ("hl-smi", "-Q", "index,name,driver_version", "-f", "csv,noheader")


def asked(argv, read):
    """The lines that `read` makes of a driver's answer, and why there are none."""
    program = shutil.which(argv[0], path="/opt/aws/neuron/bin:/opt/rocm/bin:" + os.environ.get("PATH", os.defpath))
    if not program:
        return [], "there is no %s on this image" % argv[0]
    try:
        done = subprocess.run(
            (program,) + argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        return [], "%s did not answer within 120 s" % argv[0]
    if done.returncode:
        said = done.stdout.strip().splitlines() or ["nothing"]
        return [], "%s exited with %d and said: %s" % (argv[0], done.returncode, said[0])
    try:
        return read(done.stdout), ""
    except (ValueError, LookupError, AttributeError):
        return [], "%s said what nobody understands: %.80r" % (argv[0], done.stdout)


def csv(text):
    """One accelerator a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def neuron(text):
    """Neuron devices of neuron-ls."""
    return ["%s, %s NeuronCores" % (each["neuron_device"], each["nc_count"]) for each in json.loads(text)]


def amd(text):
    """Cards of rocm-smi."""
    cards = sorted((key, said) for key, said in json.loads(text).items() if key.startswith("card"))
    return ["%s, %s" % (key[4:], said.get("Card Series") or said.get("Card series", "")) for key, said in cards]


def tpu():
    """Chips as the kernel names them: older ones /dev/accelN, newer ones a group of vfio each."""
    for folder, name in (("dev", r"accel\d+"), ("dev/vfio", r"\d+")):
        folder = os.path.join(DEVICES, folder)
        found = [each for each in (os.listdir(folder) if os.path.isdir(folder) else []) if re.fullmatch(name, each)]
        if found:
            return sorted(found), ""
    return [], "there is neither /dev/accel* nor /dev/vfio/*"


def accelerators(name):
    """Lines for the accelerators called `name`, and why there are none."""
    if not name:
        return [], ""
    if name.lower().startswith("tpu"):
        return tpu()
    if name.startswith(("Trainium", "Inferentia")):
        return asked(NEURON, neuron)
    if re.match(r"MI\d", name):
        return asked(AMD, amd)
    if name.startswith("Gaudi"):
        return asked(GAUDI, csv)
    return asked(NVIDIA, csv)


def fabric(kind):
    """Devices of the fabric, and what is wrong with them."""
    folder = os.path.join(DEVICES, "sys/class/infiniband")
    found = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    wanted = kind in ("efa", "infiniband", "rdma")
    return found, "fabric %s declared, no device of it found" % kind if wanted and not found else ""


def main():
    """Look, say, write; the exit status."""
    with open(os.path.join(HERE, "node.json")) as file:
        node = json.load(file)
    found, why = accelerators(node["accelerator"])
    devices, problem = fabric(node["fabric"])
    wanted = max(-int(-node["count"] // 1), 1) if node["accelerator"] else 0
    if len(found) < wanted:
        said = "%d %s declared, %d found" % (wanted, node["accelerator"], len(found))
        problem = said + (": " + why if why else "")
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    checked = {"boot": boot, "ok": not problem, "problem": problem, "accelerators": found, "fabric": devices}
    write(os.path.join(HERE, "checked.json"), checked)
    for line in found:
        print("%s %s" % (node["accelerator"], line))
    if problem:
        print("skyrig check: " + problem, file=sys.stderr)
    return 1 if problem else 0


def write(path, said):
    """Write at once or not at all, for everybody to read; who may not write here has looked all the same."""
    if not os.access(os.path.dirname(path), os.W_OK):
        return
    with open(path + ".new", "w") as file:
        json.dump(said, file)
    os.chmod(path + ".new", 0o644)
    os.replace(path + ".new", path)


if __name__ == "__main__":
    sys.exit(main())
