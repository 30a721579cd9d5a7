#!/bin/bash
# The last that runs on a builder before its image is made: what is this machine's own, or its cluster's, goes; what the
# recipe has put there stays. Nobody can log in afterwards: the machine is stopped from outside then. Arguments are names
# below ~ubuntu/.skyrig that stay. It can be run again.
set -u
home=$(getent passwd ubuntu | cut -d : -f 6)
[ "$(id -u)" -eq 0 ] && [ -d "$home" ] || {
  echo "seal: root is wanted, and a user ubuntu with a home" >&2
  exit 1
}

# A builder's end is not to be that of every node made of its image: its timers and programs come anew with the next boot.
for unit in /etc/systemd/system/skyrig-*; do
  [ -e "$unit" ] || continue
  systemctl disable "${unit##*/}" >/dev/null 2>&1
  rm -f "$unit"
done
rm -f /etc/systemd/system/*.wants/skyrig-*
rm -rf /opt/skyrig /run/skyrig-*
if command -v docker >/dev/null; then # containers name this machine's devices and addresses; images stay
  for container in skyrig receive-datapath-manager; do
    docker rm --force "$container" >/dev/null 2>&1
  done
fi

# Whose jobs ran here, and the keys to them.
for entry in "$home"/.skyrig/* "$home"/.skyrig/.[!.]*; do
  [ -e "$entry" ] || continue
  keep=
  for name in "$@"; do
    [ "${entry##*/}" = "$name" ] && keep=1
  done
  [ -n "$keep" ] || rm -rf "$entry"
done
for person in "$home" /root; do
  for name in .aws .azure .config/gcloud .oci .nebius .kube .docker/config.json .config/containers/auth.json .netrc .git-credentials .huggingface .cache/huggingface/token .cache/huggingface/stored_tokens .cache/pip .viminfo .lesshst .wget-hsts sky_logs .netrc.lock .bash_history .python_history .sh_history .zsh_history .node_repl_history .sqlite_history; do
    rm -rf "${person:?}/$name"
  done
  rm -f "$person"/.*_history
done

# shellcheck shell=bash
# The agents of AWS register each instance under its own id.
rm -rf /var/lib/amazon/ssm/i-* /var/lib/amazon/ssm/Vault /var/lib/amazon/ssm/ipc /var/log/amazon
rm -rf /opt/aws/amazon-cloudwatch-agent/logs/* 2>/dev/null

# Identities: each machine is to make its own.
rm -f /etc/profile.d/zz-skyrig.sh /var/lib/systemd/timers/*skyrig*
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /etc/iscsi/initiatorname.iscsi
rm -f /var/lib/dhcp/* /var/lib/NetworkManager/* /etc/netplan/50-cloud-init.yaml /etc/udev/rules.d/70-persistent-net.rules 2>/dev/null
: >/etc/hostname
cloud-init clean --logs --seed
: >/etc/machine-id
ln -sf /etc/machine-id /var/lib/dbus/machine-id 2>/dev/null

# What is of no use to anybody.
command -v apt-get >/dev/null && apt-get clean
rm -rf /var/lib/apt/lists/* /tmp/* /var/tmp/* /var/crash/*
find /var/log -type f \( -name '*.gz' -o -name '*.[0-9]' -o -name '*.journal' \) -delete
find /var/log -type f -exec truncate --size 0 {} +
if command -v fstrim >/dev/null; then # blocks of deleted files are kept, and paid for, unless they are given back
  fstrim --all >/dev/null 2>&1
fi
# Last of all what let us in, and made us root: a builder that was cut off before can be sealed again.
rm -f /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d/10-skyrig.conf /etc/sudoers.d/90-cloud-init-users
rm -rf "$home/.ssh" /root/.ssh
sync
echo "seal: done"
