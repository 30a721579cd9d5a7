"""What makes a foreign machine of the tests one as a cloud's first boot leaves it: /opt/skyrig, and a container."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import yaml
from foreign_nodes import ForeignNode, wait_for

from components.boot import BootArgs, programs_of, user_data

FOLDER = "/opt/skyrig"
IMAGE = "skyrig-test:1"
_PROGRAMS = ("bash", "cat", "env", "grep", "id", "ls", "mkdir", "rm", "setsid", "sleep", "test")
_PYTHON = "#!/bin/bash\necho the python of the image\n"
_CHANGES = (
    "ENV PATH=/image/bin:/usr/bin:/bin",
    "ENV LD_LIBRARY_PATH=/image/lib",
    "ENV OF_THE_IMAGE=yes",
    "ENV BOTH=image",
)


def booted(node: ForeignNode, **checked: object) -> None:
    """Say on a node that this boot is done, and how it went: {} is well."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    told = {"boot": boot, "ok": True, "problem": "", "accelerators": [], "fabric": [], **checked}
    node.run(f"echo {shlex.quote(json.dumps(told))} >{FOLDER}/checked.json")


def of_a_cloud(node: ForeignNode) -> None:
    """Give a node the folder that its first boot makes; that boot is not done yet."""
    about = {"cloud": "aws", "user": node.machine.user, "accelerator": "", "count": 0, "fabric": "none"}
    node.run(f"mount -t tmpfs tmpfs /opt; mkdir {FOLDER}; echo {shlex.quote(json.dumps(about))} >{FOLDER}/node.json")


def with_docker(node: ForeignNode) -> None:
    """Start docker on a node, with everything of it in memory, and have an image there that no registry has."""
    key = "--deprecated-key-path=/run/docker-key.json"  # older ones write it to /etc, which is the test machine's
    old = subprocess.run(["dockerd", key, "--version"], capture_output=True, check=False).returncode == 0
    node.run(
        "mount --make-rshared /; mount -t tmpfs tmpfs /mnt; mkdir /mnt/docker; "
        "setsid dockerd --data-root /mnt/docker --exec-root /run/docker --pidfile /run/docker.pid "
        f"--host unix:///run/docker.sock --iptables=false --ip6tables=false --bridge=none {key if old else ''} "
        "</dev/null >/run/dockerd.log 2>&1 &"
    )
    wait_for(lambda: node.run("docker version >/dev/null 2>&1 && echo up", check=False), "docker to start")
    changes = " ".join(f"--change {shlex.quote(change)}" for change in _CHANGES)
    node.run(f"{_root_of_the_image('/mnt/root')}; tar -C /mnt/root -c . | docker import {changes} - {IMAGE}")


def with_container(node: ForeignNode, image: str = IMAGE) -> str:
    """The last line of what the node's own program says that makes its container."""
    args: BootArgs = {
        "cloud": "aws", "host": "n", "host_private_key": "", "host_public_key": "", "client_key": "",
        "fabric": "none", "accelerator": "", "container": image,
    }  # fmt: skip
    for file in yaml.safe_load(user_data(args))["write_files"]:
        if file["path"].startswith("/etc/profile.d/"):  # hides what the test machine has there
            node.run(f"mount -t tmpfs tmpfs /etc/profile.d; cat >{file['path']} <<'TEXT'\n{file['content']}TEXT")
    text, scratch = programs_of(args)["container"], " --volume /scratch:/scratch:rslave"
    assert text.count(scratch) == 1  # there is none on the machine that runs the tests, and none is made there
    node.run(f"cat >{FOLDER}/container <<'PROGRAM'\n{text.replace(scratch, '')}PROGRAM\nchmod 755 {FOLDER}/container")
    return node.run(f"{FOLDER}/container 2>&1", check=False).strip().rpartition("\n")[2]


def without_docker(node: ForeignNode) -> None:
    """Remove the containers, and with them what docker made in the kernel's own tree of control groups."""
    node.run("docker rm --force skyrig >/dev/null 2>&1; kill $(cat /run/docker.pid)", check=False)
    wait_for(lambda: not node.pids("dockerd"), "docker to end")
    for folder in Path("/sys/fs/cgroup").glob("*/docker"):
        subprocess.run(["find", folder, "-depth", "-type", "d", "-empty", "-delete"], capture_output=True, check=False)
        subprocess.run(["rmdir", folder], capture_output=True, check=False)


def _root_of_the_image(root: str) -> str:
    """Commands that put a small system together out of this one's programs: no python, no sudo."""
    found = [path for name in _PROGRAMS if (path := shutil.which(name, path="/usr/bin:/bin"))]
    listed = subprocess.run(["ldd", *found], capture_output=True, text=True, check=True).stdout.split()
    libraries = sorted({word for word in listed if word.startswith("/") and not word.endswith(":")})
    copies = [f"cp --parents -L {' '.join(libraries)} {root}"]
    copies += [f"cp -L {' '.join(found)} {root}/usr/bin", f"ln -sf bash {root}/usr/bin/sh"]
    return "; ".join(
        [
            f"mkdir -p {root}/usr/bin {root}/image/bin {root}/etc {root}/tmp {root}/proc",
            *copies,
            f"[ -e {root}/bin ] || ln -s usr/bin {root}/bin",
            f"printf %s {shlex.quote(_PYTHON)} >{root}/image/bin/python; chmod 755 {root}/image/bin/python",
        ]
    )
