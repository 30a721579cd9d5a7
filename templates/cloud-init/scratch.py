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
    """Local disks as lsblk tells of them."""
    listed = json.loads(run("lsblk", "--json", "-o", "PATH,MODEL,MOUNTPOINT,TYPE"))["blockdevices"]
    named = os.environ.get("SKYRIG_SCRATCH_DISKS")  # for a machine whose local disks have other models
    if named is not None:
        return [disk for disk in listed if disk["path"] in named.split()]
    return [disk for disk in listed if re.fullmatch(LOCAL, (disk["model"] or "").strip())]


def signatures(path):
    """Everything on a disk that says what it holds: file systems, partition tables, members of arrays."""
    found = run("wipefs", "--no-act", "--json", path).strip()
    return json.loads(found)["signatures"] if found else []


def usable(disk):
    """Whether the disk is blank or was made here; a disk that somebody uses is neither."""
    below = disk.get("children", [])
    if disk["mountpoint"] or any(child["mountpoint"] or child.get("children") for child in below):
        return False
    if not all(child["type"].startswith(("raid", "md")) for child in below):
        return False
    found = signatures(disk["path"])
    return all(each["type"] in MADE and (each["label"] or "").split(":")[-1] == NAME for each in found)


def has_mdadm():
    """Whether there is mdadm; got from the package archive where that can be reached soon."""
    if not shutil.which("mdadm"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "-y", "--no-install-recommends", "mdadm"]):
            subprocess.run([*BOUNDED, *words], env=quiet, stdout=sys.stderr, check=False)
    return shutil.which("mdadm") is not None


def striped(disks):
    """The device that the disks are together: the array of the last boot, or a new one."""
    arrays = {child["path"] for disk in disks for child in disk.get("children", [])}
    if len(arrays) == 1 and all(disk.get("children") for disk in disks):
        return arrays.pop()  # the kernel has put it together already
    for array in arrays:
        run("mdadm", "--stop", array)
    paths = [disk["path"] for disk in disks]
    if all(signatures(path) for path in paths):
        try:
            run("mdadm", "--assemble", ARRAY, *paths)
            return ARRAY
        except subprocess.CalledProcessError:
            pass  # one of them was changed for another: what the others hold is of no use
    for path in paths:
        run("wipefs", "--all", path)
    raid = ("--level=0", f"--raid-devices={len(paths)}", f"--name={NAME}", "--homehost=any")
    run("mdadm", "--create", ARRAY, "--run", "--force", *raid, *paths)
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
    disks = sorted((disk for disk in local_disks() if usable(disk)), key=lambda disk: disk["path"])
    if len(disks) > 1 and not has_mdadm():
        print(f"scratch: there is no mdadm, none can be had: 1 disk of {len(disks)} is used", file=sys.stderr)
        disks = disks[:1]
    if disks:
        mount(striped(disks) if len(disks) > 1 else disks[0]["path"])
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
