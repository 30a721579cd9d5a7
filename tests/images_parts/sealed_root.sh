#!/bin/bash
# Runs the script $2 twice as root of a machine that is made up below $1: this machine's files under an overlay of its own,
# in a mount namespace, so that nothing of it is touched. What is left there is then listed.
set -eu
mount -t tmpfs none "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
root=$1/root
mount -t tmpfs none "$root/tmp"
mount --bind /dev "$root/dev"
home=$root/home/ubuntu
mkdir -p "$home/.ssh" "$home/.skyrig/jobs" "$home/.skyrig/runtime" "$home/.aws" "$home/venv" "$root/opt/skyrig" \
  "$root/etc/ssh" "$root/etc/systemd/system/timers.target.wants" "$root/var/lib/amazon/ssm/i-0123" "$root/var/lib/waagent" \
  "$root/stubs" "$root/root/.ssh" "$root/var/log/apt"
grep -q '^ubuntu:' "$root/etc/passwd" || echo "ubuntu:x:1000:1000::/home/ubuntu:/bin/bash" >>"$root/etc/passwd"
for file in "$home/.ssh/authorized_keys" "$root/root/.ssh/authorized_keys" "$home/.skyrig/keeper.db" "$home/.skyrig/jobs/1" \
  "$home/.skyrig/setup.json" "$home/.aws/credentials" "$home/.bash_history" "$home/venv/kept" "$root/opt/skyrig/expire" \
  "$root/etc/ssh/ssh_host_ed25519_key" "$root/etc/systemd/system/skyrig-expire.timer" "$root/etc/instance_id" \
  "$root/etc/systemd/system/timers.target.wants/skyrig-expire.timer" "$root/var/lib/waagent/ovf" "$root/var/log/apt/h.log"; do
  echo x >"$file"
done
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
for name in cloud-init waagent systemctl docker fstrim apt-get; do # what would reach beyond the files
  printf '#!/bin/sh\necho "%s $*" >>/stubs/asked\n' "$name" >"$root/stubs/$name"
  chmod 0755 "$root/stubs/$name"
done
cp "$2" "$root/stubs/seal"
for _ in 1 2; do
  PATH=/stubs:/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" bash /stubs/seal setup.json runtime
done
cd "$root"
for path in home/ubuntu/.ssh root/.ssh home/ubuntu/.skyrig/* home/ubuntu/.aws home/ubuntu/.bash_history home/ubuntu/venv/kept \
  opt/skyrig etc/ssh/ssh_host_* etc/systemd/system/skyrig-* etc/systemd/system/timers.target.wants/skyrig-* etc/instance_id \
  var/lib/amazon/ssm/i-0123 var/lib/waagent/ovf var/log/apt/h.log; do
  if [ -e "$path" ]; then echo "there $path"; fi
done
echo "machine-id $(wc -c <etc/machine-id), log $(wc -c <var/log/apt/h.log)"
sort -u stubs/asked
