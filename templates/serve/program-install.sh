#!/bin/sh
# Has one program (haproxy or certbot) installed on a head, by its own packages, and none of its services started: the
# steward starts it. The last line of the output says why where that fails. `sh -s NAME`.
set -u
export DEBIAN_FRONTEND=noninteractive
name=$1

refused() { # WHY
    echo "$1"
    exit 1
}

there() {
    command -v "$name" >/dev/null || [ -x "/usr/sbin/$name" ]
}

there && exit 0
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null </dev/null; then
    as_root='sudo -n -E'
else
    refused "this user is not root and has no sudo without a password"
fi
if command -v apt-get >/dev/null; then
    get='apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 -o Acquire::http::Timeout=20'
    # shellcheck disable=SC2086 # lists of words
    $as_root $get update >/dev/null 2>&1 </dev/null
    # shellcheck disable=SC2086
    said=$($as_root $get install -y --no-install-recommends "$name" 2>&1 </dev/null) || refused "$(echo "$said" | tail -n 1)"
elif command -v dnf >/dev/null; then
    # shellcheck disable=SC2086
    said=$($as_root dnf -q -y install "$name" 2>&1 </dev/null) || refused "$(echo "$said" | tail -n 1)"
elif command -v yum >/dev/null; then
    # shellcheck disable=SC2086
    said=$($as_root yum -q -y install "$name" 2>&1 </dev/null) || refused "$(echo "$said" | tail -n 1)"
else
    refused "there is neither apt-get nor dnf nor yum here"
fi
if command -v systemctl >/dev/null; then
    for service in "$name.service" "$name.timer"; do
        # shellcheck disable=SC2086 # the packages' own service serves nothing of ours
        $as_root systemctl disable --now "$service" >/dev/null 2>&1 </dev/null
    done
elif [ "$name" = haproxy ] && command -v service >/dev/null; then
    # shellcheck disable=SC2086
    $as_root service haproxy stop >/dev/null 2>&1 </dev/null
fi
there || refused "its package was installed, and brought no $name"
