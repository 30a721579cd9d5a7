#!/bin/bash
# A first boot: cloud-init itself does what user data says, on a copy of this machine's system (an overlay that is
# gone afterwards), and a real sshd serves it. first_boot.sh FOLDER, which holds user-data, and the client's `key` and
# `known_hosts`. As root, in mount, uts, net and pid namespaces of its own. Each line that it prints is compared.
set -e
folder=$1
top=$(mktemp -d)
mount -t tmpfs none "$top"
mkdir "$top"/{upper,work,root}
root=$top/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sys "$root/sys"
mount -t tmpfs none "$root/run"
mount --rbind /dev "$root/dev"
mkdir -p "$root/run/sshd" "$root/var/lib/cloud/seed/nocloud"
rm -rf "$root"/etc/cloud "$root"/var/lib/cloud/{data,instance,instances,sem}
mkdir -p "$root/etc/cloud/templates"
cat >"$root/etc/cloud/cloud.cfg" <<'CONFIG'
datasource_list: [NoCloud, None]
network: {config: disabled}
users: [default]
cloud_init_modules: [write-files, set_hostname, users-groups, ssh]
cloud_config_modules: [runcmd]
system_info: {distro: ubuntu, default_user: {name: ubuntu}}
CONFIG
cp "$folder/user-data" "$root/var/lib/cloud/seed/nocloud/user-data"
# What a cloud says besides: a key of the account's own, which shall not log in.
printf 'instance-id: i-1\npublic-keys: ["%s"]\n' "$(cat "$folder/other.pub")" >"$root/var/lib/cloud/seed/nocloud/meta-data"
echo "of the image" >"$root/etc/ssh/ssh_host_rsa_key"
chroot "$root" cloud-init init >"$top/log" 2>&1
chroot "$root" cloud-init modules --mode config >>"$top/log" 2>&1
echo "warnings: $(grep -c 'WARNING\|Traceback' "$root/var/log/cloud-init.log")" || true

ip link set lo up 2>/dev/null || chroot "$root" python3 - <<'PYTHON'
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
PYTHON
chroot "$root" /usr/sbin/sshd -p 2222 -o ListenAddress=127.0.0.1
as() {
  ssh -F none -p 2222 -i "$folder/$1" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes \
    -o UserKnownHostsFile="$folder/known_hosts" -o GlobalKnownHostsFile=/dev/null "$2@127.0.0.1" "$3" 2>&1 || true
}
echo "login: $(as key ubuntu 'whoami; hostname' | xargs)"
echo "root: $(as key root whoami | grep -c 'Permission denied')"
echo "key of the cloud: $(as other ubuntu whoami | grep -c 'Permission denied')"
echo "password: $(chroot "$root" getent shadow ubuntu | cut -d: -f2)"
echo "sudo: $(chroot "$root" cat /etc/sudoers.d/90-cloud-init-users | grep -c '^ubuntu ALL=(ALL) NOPASSWD:ALL$')"
echo "host keys: $(cd "$root/etc/ssh" && echo ssh_host_*) $(stat -c %a "$root/etc/ssh/ssh_host_ed25519_key")"
echo "programs: $(cd "$root/opt/skyrig" && stat -c %n:%a ./* | tr '\n' ' ')"
echo "then: $(chroot "$root" tail -n +2 /var/lib/cloud/instance/scripts/runcmd | tr '\n' ';')"
