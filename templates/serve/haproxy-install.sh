#!/bin/sh
# Has HAProxy installed on a head, by its own packages, and none of its services started: the steward starts it. The last
# line of the output says why where that fails.
set -u
export DEBIAN_FRONTEND=noninteractive

refused() { # WHY
    echo "$1"
    exit 1
}

command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] && exit 0
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root='sudo -n -E'
else
    refused "this user is not root and has no sudo without a password"
fi
if command -v apt-get >/dev/null; then
    get='apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 -o Acquire::http::Timeout=20'
    # shellcheck disable=SC2086 # lists of words
    $as_root $get update >/dev/null 2>&1
    # shellcheck disable=SC2086
    said=$($as_root $get install -y --no-install-recommends haproxy 2>&1 </dev/null) || refused "$(echo "$said" | tail -n 1)"
elif command -v dnf >/dev/null; then
    # shellcheck disable=SC2086
    said=$($as_root dnf -q -y install haproxy 2>&1 </dev/null) || refused "$(echo "$said" | tail -n 1)"
elif command -v yum >/dev/null; then
    # shellcheck disable=SC2086
    said=$($as_root yum -q -y install haproxy 2>&1 </dev/null) || refused "$(echo "$said" | tail -n 1)"
else
    refused "there is neither apt-get nor dnf nor yum here"
fi
if command -v systemctl >/dev/null; then
    # shellcheck disable=SC2086 # the packages' own service serves nothing of ours
    $as_root systemctl disable --now haproxy >/dev/null 2>&1
fi
command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || refused "its package was installed, and brought no haproxy"
