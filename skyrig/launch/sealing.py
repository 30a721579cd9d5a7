"""Run on a node (stdlib only, Python 3.8): makes it ready to be an image. `given` is its JSON input.

What is remembered of the setup that was done becomes the mark of an image (skyrig.launch.keeper.marks), without the
variables called `secrets`; with `forget` it is removed, for the setup is another one on each node. On a `machine` all
goes that belongs to this one alone, or that would act on the next one: keys, jobs, histories, the name that the cloud
knows it by, and what Skyrig's boot has put there, timers that end nodes above all. A machine that was sealed lets
nobody in any more. Nothing here harms when it is done again.
"""

from __future__ import annotations

import glob
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

KEPT = ("setup.json", "workdir.json", "runtime")
HOME = (
    ".ssh/authorized_keys", ".ssh/id_*", ".bash_history", ".python_history", ".sh_history", ".zsh_history", ".lesshst",
    ".wget-hsts", ".viminfo", ".sqlite_history", ".node_repl_history", ".cache/pip", "sky_logs", ".aws", ".azure",
    ".config/gcloud", ".docker/config.json", ".netrc", ".git-credentials", ".kube",
)  # fmt: skip
SYSTEM = (
    "/etc/ssh/ssh_host_*", "/root/.ssh/authorized_keys", "/root/.bash_history", "/root/.python_history",
    "/var/lib/dbus/machine-id", "/var/lib/systemd/random-seed", "/var/lib/dhcp/*", "/var/lib/systemd/timers/*skyrig*",
    "/etc/systemd/system/skyrig-*", "/etc/systemd/system/*.wants/skyrig-*", "/opt/skyrig", "/run/skyrig*",
    "/etc/profile.d/zz-skyrig.sh", "/etc/sudoers.d/90-cloud-init-users", "/var/log/cloud-init*", "/var/log/auth.log*",
    "/var/log/journal/*", "/var/log/syslog*", "/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog",
)  # fmt: skip


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


def remove(pattern: str) -> None:
    """Remove what a pattern stands for."""
    for path in glob.glob(pattern):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)


def clean_machine() -> None:
    """Take all away that belongs to this machine alone. The last thing to go is the key that let us in."""
    end_keeper()
    for entry in os.listdir(ours):
        if entry not in KEPT:
            remove(os.path.join(ours, glob.escape(entry)))
    script = ["set -u", "systemctl stop 'skyrig-*.timer' 2>/dev/null || :", "systemctl daemon-reload || :"]
    script += ["if command -v cloud-init >/dev/null; then cloud-init clean --logs --seed || cloud-init clean; fi"]
    script += ["command -v waagent >/dev/null && waagent -deprovision -force >/dev/null 2>&1 || :"]
    script += ["rm -rf -- " + pattern for pattern in SYSTEM]
    script += [": >/etc/machine-id", "rm -rf /tmp/* /var/tmp/* 2>/dev/null || :", "sync"]
    root = [] if os.getuid() == 0 else ["sudo", "-n"]
    done = subprocess.run([*root, "/bin/sh", "-c", "\n".join(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.stdout.write(done.stdout.decode(errors="replace")[-2000:])
        sys.exit(1)
    for pattern in HOME[1:] + HOME[:1]:
        remove(os.path.join(home, pattern))
    subprocess.run(["sync"], check=False)


if given["forget"]:
    remove(glob.escape(file))
elif marked():
    seal_mark()
if given["machine"]:
    clean_machine()
sys.stdout.write("sealed\n")
