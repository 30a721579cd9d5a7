#!/bin/sh
# The main process of a node that is a pod: an SSH server, until the pod goes.
#   SIGUSR1  the node ends itself: its Job is complete, and starts it no more
#   SIGTERM  the pod is taken away
# boot/ has this program and authorized_keys, host/ a host key by completion index: host-INDEX.
set -eu
boot=${SKYRIG_BOOT:-/etc/skyrig/boot}
host=${SKYRIG_HOST:-/etc/skyrig/host}
port=${SKYRIG_PORT:-2222}
run=/run/skyrig

fail() { # the last words of the pod: they are in its status
    printf '%s\n' "$1" >&2
    printf '%s\n' "$1" 2>/dev/null >/dev/termination-log || :
    exit 1
}

install() {
    if command -v apt-get >/dev/null; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends openssh-server python3 python3-pip rsync
    elif command -v dnf >/dev/null; then
        dnf install -q -y openssh-server python3 python3-pip rsync
    elif command -v microdnf >/dev/null; then
        microdnf install -y openssh-server python3 python3-pip rsync
    elif command -v apk >/dev/null; then
        apk add -q bash openssh-server python3 py3-pip rsync
    else
        fail "the image has no sshd or no python3, and no package manager that is known: apt-get, dnf, microdnf, apk"
    fi
}

found() { PATH=$PATH:/usr/sbin:/sbin command -v "$1"; }

if ! found sshd >/dev/null || ! found python3 >/dev/null; then
    [ "$(id -u)" = 0 ] || fail "the image has no sshd or no python3, and user $(id -u) can install none"
    install || fail "sshd and python3 could not be installed: does the pod reach the internet? Or take an image that has them"
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' || fail "the image has an older Python than 3.8"
sshd=$(found sshd)

umask 077
mkdir -p "$run" /run/sshd
chmod 755 "$run" /run/sshd
cp "$host/host-${JOB_COMPLETION_INDEX:-0}" "$run/host_key"
cp "$boot/authorized_keys" "$run/authorized_keys"
{
    printf 'Port %s\nHostKey %s\nPidFile %s\n' "$port" "$run/host_key" "$run/sshd.pid"
    printf 'AuthorizedKeysFile %s .ssh/authorized_keys\nStrictModes no\n' "$run/authorized_keys" # the keeper adds its own
    printf 'PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n'
    printf 'UsePAM no\nPrintMotd no\nMaxStartups 100:30:300\nMaxSessions 200\nClientAliveInterval 30\n'
    printf 'Subsystem sftp internal-sftp\n'
    # what the image and the pod say of the environment: a login sees none of it else; one line, as each name counts once
    python3 - <<'PYTHON'
import os
ours = {"HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "SHLVL", "_", "HOSTNAME", "TERM"}
told = {name: value for name, value in os.environ.items() if name not in ours and '"' not in value and "\n" not in value}
print("SetEnv", *(f'"{name}={value}"' for name, value in sorted(told.items())))
PYTHON
} >"$run/sshd_config"
echo $$ >"$run/pod.pid"

"$sshd" -D -e -f "$run/sshd_config" &
server=$!
trap 'kill "$server"; echo "the node has ended itself" >&2; exit 0' USR1
trap 'kill "$server"; echo "the pod is taken away" >&2; exit 143' TERM INT
code=0
wait "$server" || code=$?
fail "the SSH server has ended with code $code"
