"""Run on a node (stdlib only, Python 3.8): makes it ready to be an image. `given` is its JSON input.

What is remembered of the setup that was done becomes the mark of an image (skyrig.launch.keeper.marks), without the
variables called `secrets`; with `forget` it is removed, for the setup is another one on each node. Where there is a
`script`, this is a machine of a cloud, and all goes that belongs to this one alone, or that would act on the next one
(templates/images/seal.sh.j2). A machine that was sealed lets nobody in any more. Nothing here harms when it is done
again. It says when there is no setup to be remembered though one was done: it changed files that each launch brings.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

given = globals()["given"]
home = os.path.expanduser("~")
ours = os.path.join(home, ".skyrig")
file = os.path.join(ours, "setup.json")

AFTERWARDS = "\nshutdown -h +3 >/dev/null 2>&1 || :"
"""Whoever asked for this switches the machine off now. Should they be gone, it does so itself: no timer of ours is
left."""
KEPT = ("setup.json", "workdir.json", "runtime")
"""What stays of our folder on a machine."""


def marked() -> bool:
    """Whether the file is there that says which setup was done: the keeper writes it just after its job has ended."""
    deadline = time.monotonic() + float(given["patience_s"])
    while not os.path.exists(file) and time.monotonic() < deadline:
        time.sleep(0.05)
    return os.path.exists(file)


def seal_mark() -> None:
    """Make the mark an image's, as a whole or not at all."""
    with open(file) as opened:
        said = json.load(opened)
    secrets = {"variable:" + name for name in given["secrets"]}
    said["life"] = "image"
    said["parts"] = {name: value for name, value in said["parts"].items() if name not in secrets}
    with open(os.open(file + ".part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        json.dump(said, opened)
    os.replace(file + ".part", file)


def end_keeper() -> None:
    """End the keeper and what stands by to start it again: it would write its files anew."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open("/proc/" + entry + "/cmdline", "rb") as opened:
                words = opened.read().split(b"\0")
            if b"skyrig.launch.keeper" in words:
                os.kill(int(entry), signal.SIGKILL)
        except OSError:
            continue  # it has ended meanwhile


def clean_machine() -> None:
    """Take all away that belongs to this machine alone, by the script of its cloud, which is told what stays of ours.
    The last thing to go is the key that let us in."""
    end_keeper()
    root = [] if os.getuid() == 0 else ["sudo", "-n"]
    # Whoever asked for this switches it off when it is done; should they be gone, it does so itself, since no timer of
    # ours will be left. What is to come at the next boot is not kept.
    if shutil.which("shutdown"):
        subprocess.run([*root, "shutdown", "-h", "+10"], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    done = subprocess.run(
        [*root, "/bin/bash", "-c", given["script"] + AFTERWARDS, "seal", *KEPT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        sys.stdout.write(done.stdout.decode(errors="replace")[-2000:])
        sys.exit(1)


if given["forget"]:
    if os.path.exists(file):
        os.unlink(file)
    remembers = True
else:
    remembers = marked()
    if remembers:
        seal_mark()
if given["script"]:
    clean_machine()
sys.stdout.write("sealed\n" if remembers or not given["patience_s"] else "sealed, with no setup\n")
