#!/usr/bin/env python3
"""Makes the machine's own disks one striped scratch disk at /scratch, at every boot: they are blank after a stop.

Only disks of the models below are looked at, which no boot disk and no disk over the network is, and of these only such
as are blank or were made here. Without any, /scratch is a folder of the boot disk.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

LOCAL = (
    r"Amazon EC2 NVMe Instance Storage"
    r"|nvme_card\d*|EphemeralDisk"  # Google Cloud; its network disks are nvme_card-pd and PersistentDisk
    r"|Microsoft NVMe Direct Disk( v\d+)?"
)
HERE = Path(__file__).resolve().parent
MOUNT = Path(os.environ.get("SKYRIG_SCRATCH", "/scratch"))
NAME = "skyrig-scratch"
ARRAY = f"/dev/md/{NAME}"
MADE = ("ext4", "linux_raid_member")
BOUNDED = ("timeout", "180", "apt-get", "-qq", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::Retries=1")


def run(*argv):
    """Standard output of a command; CalledProcessError where it fails."""
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def local_disks():
    """Paths of the local disks, sorted."""
    named = os.environ.get("SKYRIG_SCRATCH_DISKS")  # for a machine whose local disks have other models
    listed = json.loads(run("lsblk", "--json", "--nodeps", "-o", "PATH,MODEL"))["blockdevices"]
    if named is not None:
        return sorted({disk["path"] for disk in listed} & set(named.split()))
    return sorted(disk["path"] for disk in listed if re.fullmatch(LOCAL, (disk["model"] or "").strip()))


def signatures(path):
    """Everything on a disk that says what it holds: file systems, partition tables, members of arrays."""
    found = run("wipefs", "--no-act", "--json", path).strip()
    return json.loads(found)["signatures"] if found else []


def holders(path):
    """Devices that a device is a part of."""
    return [f"/dev/{each.name}" for each in Path("/sys/class/block", Path(path).name, "holders").iterdir()]


def free(path):
    """Whether nobody uses a device: no mount, no array, no swap."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_EXCL))
    except OSError:
        return False
    return True


def usable(path):
    """Whether a disk is blank or was made here, and is in nobody's use."""
    arrays = holders(path)
    if not all(re.fullmatch(r"/dev/md\d+", each) and free(each) for each in arrays):
        return False
    if not arrays and not free(path):
        return False
    return all(each["type"] in MADE and (each["label"] or "").split(":")[-1] == NAME for each in signatures(path))


def has_mdadm():
    """Whether there is mdadm; got from the package archive where that can be reached soon."""
    if not shutil.which("mdadm"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "-y", "--no-install-recommends", "mdadm"]):
            subprocess.run([*BOUNDED, *words], env=quiet, stdout=sys.stderr, check=False)
    return shutil.which("mdadm") is not None


def striped(disks):
    """The device that the disks are together: the array of the last boot, or a new one."""
    arrays = {array for disk in disks for array in holders(disk)}
    if len(arrays) == 1 and all(holders(disk) for disk in disks):
        return arrays.pop()  # the kernel has put it together already
    for array in arrays:
        run("mdadm", "--stop", array)
    if all(signatures(disk) for disk in disks):
        try:
            run("mdadm", "--assemble", ARRAY, *disks)
            return ARRAY
        except subprocess.CalledProcessError:
            pass  # one of them was changed for another: what the others hold is of no use
    for disk in disks:
        run("wipefs", "--all", disk)
    raid = ("--level=0", f"--raid-devices={len(disks)}", f"--name={NAME}", "--homehost=any")
    run("mdadm", "--create", ARRAY, "--run", "--force", *raid, *disks)
    run("wipefs", "--all", ARRAY)  # where the file system of an older array began
    return ARRAY


def mount(device):
    """Mount the device, with a file system of ours on it."""
    if not any(each["type"] == "ext4" for each in signatures(device)):
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-L", NAME, "-E", "nodiscard,lazy_itable_init=1", device)
    run("mount", "-o", "noatime,discard", device, str(MOUNT))


def by_image():
    """Where the image has mounted local disks itself; None if nowhere."""
    if os.path.ismount("/opt/dlami/nvme"):  # AWS's deep learning images
        return "/opt/dlami/nvme"
    temporary = Path("/dev/disk/cloud/azure_resource-part1")
    if temporary.exists() and os.path.ismount("/mnt"):
        source = run("findmnt", "-n", "-o", "SOURCE", "/mnt").strip()
        return "/mnt" if Path(source).resolve() == temporary.resolve() else None
    return None


def made():
    """Make the scratch disk; what it is now."""
    disks = [disk for disk in local_disks() if usable(disk)]
    if len(disks) > 1 and not has_mdadm():
        print(f"scratch: there is no mdadm, none can be had: 1 disk of {len(disks)} is used", file=sys.stderr)
        disks = disks[:1]
    if disks:
        mount(striped(disks) if len(disks) > 1 else disks[0])
        return "1 local disk" if len(disks) == 1 else f"{len(disks)} local disks as one"
    place = by_image()
    if place:
        run("mount", "--bind", place, str(MOUNT))
        return f"the same as {place}"
    return "no local disks, a folder of the boot disk"


def main():
    """Make it, and say in one line what it is."""
    MOUNT.mkdir(parents=True, exist_ok=True)
    said = "mounted already" if os.path.ismount(MOUNT) else made()
    user = json.loads((HERE / "node.json").read_text())["user"]
    shutil.chown(MOUNT, user, user)
    print(f"{MOUNT}: {said}")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"scratch: {' '.join(error.cmd)}: {(error.stderr or '').strip()}")
