"""A first boot for real: cloud-init reads the user data on a copy of this system, sshd serves what it made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from boot_cases import CLIENT_PRIVATE, HERE, HOST_PUBLIC, args

from components.boot import user_data
from components.keypair import new_key_pair

SAID = """\
warnings: 0
login: ubuntu dev-n0
root: 1
key of the cloud: 1
password: !
sudo: 1
host keys: ssh_host_ed25519_key ssh_host_ed25519_key.pub 600
programs: ./check:755 ./end:755 ./fabric:755 ./node.json:644 ./scratch:755 ./stop:755 \n\
then: command -v fusermount3 >/dev/null || timeout 300 sh -c 'apt-get -qq update && apt-get -qq install -y fuse3';\
grep -qsx user_allow_other /etc/fuse.conf || echo user_allow_other >>/etc/fuse.conf;\
systemctl daemon-reload;systemctl enable --now skyrig-node.service;
"""


def test_a_machine_is_what_its_user_data_says(tmp_path: Path) -> None:
    for tool in ("cloud-init", "unshare", "ssh"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool} on this machine")
    if os.geteuid() or not Path("/usr/sbin/sshd").exists():
        pytest.skip("an sshd, and root to start it, are not here")
    other_private, other_public = new_key_pair()
    (tmp_path / "user-data").write_text(user_data(args(HERE / "cases" / "aws-p5.json")))
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:2222 {HOST_PUBLIC}\n")
    (tmp_path / "other.pub").write_text(other_public)
    for name, key in (("key", CLIENT_PRIVATE), ("other", other_private)):
        (tmp_path / name).write_text(key)
        (tmp_path / name).chmod(0o600)
    apart = ["unshare", "--mount", "--uts", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    command = [*apart, "bash", str(HERE / "first_boot.sh"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == SAID, done.stderr
