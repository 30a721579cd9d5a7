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

LOCAL = (
    r"Amazon EC2 NVMe Instance Storage"
    r"|nvme_card\d*|EphemeralDisk"  # Google Cloud; its network disks are nvme_card-pd and PersistentDisk
    r"|Microsoft NVMe Direct Disk( v\d+)?"
)
OTHERS = ("/opt/dlami/nvme", "/mnt")
"""Where images put such disks themselves: AWS's deep learning image; Azure, its temporary disk."""
MOUNT = os.environ.get("SKYRIG_SCRATCH", "/scratch")
NAME = "skyrig-scratch"
ARRAY = "/dev/md/" + NAME
MADE = ("ext4", "linux_raid_member")


def run(*argv):
    """Standard output of a command; CalledProcessError where it fails."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
    return done.stdout


def local_disks():
    """Local disks as lsblk tells of them."""
    given = os.environ.get("SKYRIG_SCRATCH_DISKS")
    listed = json.loads(run("lsblk", "--json", "-o", "PATH,MODEL,MOUNTPOINT,TYPE"))["blockdevices"]
    if given is not None:  # a machine whose disks have other names, as a test's
        return [disk for disk in listed if disk["path"] in given.split()]
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
    if not all(child["type"].startswith("raid") for child in below):
        return False
    found = signatures(disk["path"])
    return all(each["type"] in MADE and (each["label"] or "").split(":")[-1] == NAME for each in found)


def has_mdadm():
    """Whether there is mdadm; got from the package archive where that can be reached soon."""
    if not shutil.which("mdadm"):
        get = ["timeout", "180", "apt-get", "-qq", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::Retries=1"]
        for words in (["update"], ["install", "-y", "--no-install-recommends", "mdadm"]):
            subprocess.call(get + words, env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"), stdout=sys.stderr)
    return shutil.which("mdadm") is not None


def striped(disks):
    """The device that the disks together are: the array of the last boot, or a new one."""
    held = {child["path"] for disk in disks for child in disk.get("children", [])}
    if all(disk.get("children") for disk in disks) and len(held) == 1:
        return held.pop()  # the kernel has put it together already
    paths = [disk["path"] for disk in disks]
    for array in held:
        run("mdadm", "--stop", array)
    if all(signatures(path) for path in paths):
        try:
            run("mdadm", "--assemble", ARRAY, *paths)
            return ARRAY
        except subprocess.CalledProcessError:
            pass  # one of them was changed for another: what the others hold is of no use
    for path in paths:
        run("wipefs", "--all", path)
    raid = ["--level=0", "--raid-devices=%d" % len(paths), "--name=" + NAME, "--homehost=any"]
    run("mdadm", "--create", ARRAY, "--run", "--force", *raid, *paths)
    return ARRAY


def mount(device):
    """Mount the device, with a file system of ours."""
    if not any(each["type"] == "ext4" for each in signatures(device)):
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-L", NAME, "-E", "nodiscard,lazy_itable_init=1", device)
    run("mount", "-o", "noatime,discard", device, MOUNT)


def others():
    """A mount that the image has made of local disks; "" if there is none."""
    temporary = os.path.realpath("/dev/disk/cloud/azure_resource-part1")
    for place in OTHERS:
        if os.path.ismount(place):
            source = run("findmnt", "-n", "-o", "SOURCE", place).strip()
            if place != "/mnt" or os.path.realpath(source) == temporary:
                return place
    return ""


def main():
    """Make /scratch, and say in one line what it is."""
    os.makedirs(MOUNT, exist_ok=True)
    if os.path.ismount(MOUNT):
        said = "mounted already"
    else:
        said = made()
    user = os.environ.get("SUDO_USER") or "ubuntu"
    shutil.chown(MOUNT, user, user)
    print("%s: %s" % (MOUNT, said))


def made():
    """Make it; what it is now."""
    disks = sorted((disk for disk in local_disks() if usable(disk)), key=lambda disk: disk["path"])
    if len(disks) > 1 and not has_mdadm():
        print("scratch: no mdadm, and none can be had: one disk of %d is used" % len(disks), file=sys.stderr)
        disks = disks[:1]
    if disks:
        mount(striped(disks) if len(disks) > 1 else disks[0]["path"])
        return "%d local disk%s" % (len(disks), "s" * (len(disks) > 1))
    place = others()
    if place:
        run("mount", "--bind", place, MOUNT)
        return "the same as " + place
    return "no local disks, a folder of the boot disk"


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit("scratch: %s: %s" % (" ".join(error.cmd), error.stderr.strip()))
