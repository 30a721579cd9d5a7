#!/bin/sh
# Skyrig's pulumi wrapper: this environment's Python and engine first, and a local backend where the user has none.
# Copied to .venv/bin/pulumi by ./rig. It runs before every pulumi command, so it starts as few processes as it can.
set -u

fail() {
    printf 'pulumi (skyrig): error: %s\n' "$1" >&2
    exit 5
}

absolute() { # FOLDER: what Python's expanduser().absolute() makes of it
    case $1 in
        /*) printf '%s' "$1" ;;
        '~') printf '%s' "$HOME" ;;
        '~'/*) printf '%s' "$HOME${1#?}" ;;
        *) printf '%s' "$PWD/$1" ;;
    esac
}

default_of() { # VALUE-OF-XDG-VARIABLE LINUX-FOLDER MACOS-FOLDER: the same answer as skyrig/places.py
    case $1 in
        /*) printf '%s' "$1/skyrig" ;;
        *)
            case $(uname -s) in
                Darwin) printf '%s' "$HOME/$3/skyrig" ;;
                *) printf '%s' "$HOME/$2/skyrig" ;;
            esac
            ;;
    esac
}

logged_in() { # has the user chosen a backend?
    [ -n "${PULUMI_BACKEND_URL-}" ] || [ -n "${PULUMI_ACCESS_TOKEN-}" ] && return
    login=${PULUMI_HOME:-$HOME/.pulumi}/credentials.json
    [ -f "$login" ] && grep -Eq '"current"[[:space:]]*:[[:space:]]*"[^"]' "$login"
}

stacks_of() { # the project's stacks in our backend; fails where there is none
    for file in "$home/state/.pulumi/stacks/$1"/*.json; do
        [ -e "$file" ] && return
    done
    return 1
}

use_own_backend() {
    if [ ! -d "$home/state" ]; then
        (umask 077 && mkdir -p "$home/state") || fail "cannot make $home/state"
    fi
    PULUMI_BACKEND_URL=file://$home/state
    export PULUMI_BACKEND_URL
    [ -n "${PULUMI_CONFIG_PASSPHRASE+set}" ] || [ -n "${PULUMI_CONFIG_PASSPHRASE_FILE-}" ] && return
    if [ ! -s "$home/passphrase" ]; then
        if [ -d "$home/state/.pulumi/stacks" ] && [ -n "$(find "$home/state/.pulumi/stacks" -name '*.json' -print)" ]; then
            fail "$home/passphrase is gone, and the stacks in $home/state need it: put it back, or set PULUMI_CONFIG_PASSPHRASE"
        fi
        make_passphrase
    fi
    PULUMI_CONFIG_PASSPHRASE_FILE=$home/passphrase
    export PULUMI_CONFIG_PASSPHRASE_FILE
}

make_passphrase() { # random, readable by the user alone; of two that do this at once, one wins
    (
        umask 077
        od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$home/passphrase.$$" &&
            { ln "$home/passphrase.$$" "$home/passphrase" 2>/dev/null || [ -s "$home/passphrase" ]; }
        made=$?
        rm -f "$home/passphrase.$$"
        exit $made
    ) || fail "cannot write $home/passphrase"
}

needs_stack() { # ARGS: is this a command that works on the selected stack, and names none itself?
    [ -z "${PULUMI_STACK-}" ] || return 1
    case ${1-}:${2-} in
        stack:init | stack:select | stack:ls | stack:rm) return 1 ;;
        up:* | update:* | preview:* | pre:* | destroy:* | down:* | dn:* | refresh:* | config:* | cancel:* | stack:*) ;;
        *) return 1 ;;
    esac
    for word; do
        case $word in
            -s | -s=* | --stack | --stack=* | -C | -C=* | --cwd | --cwd=* | -h | --help) return 1 ;;
        esac
    done
}

fit_salt() { # STACK: a config from another home has the salt of another passphrase; give it the one of the state, if any
    config=$root/stacks/Pulumi.$1.yaml
    [ -f "$config" ] && grep -q '^encryptionsalt:' "$config" && ! grep -q 'secure:' "$config" || return 0
    state=$home/state/.pulumi/stacks/$project/$1.json
    salt=
    [ ! -f "$state" ] || salt=$(sed -n 's/.*"salt": *"\([^"]*\)".*/\1/p' "$state" | sed 1q)
    if [ -n "$salt" ]; then
        sed "s|^encryptionsalt:.*|encryptionsalt: $salt|" "$config" >"$config.$$"
    else
        sed '/^encryptionsalt:/d' "$config" >"$config.$$"
    fi
    if cmp -s "$config.$$" "$config"; then rm "$config.$$"; else mv "$config.$$" "$config"; fi
}

ensure_stack() { # in the clone: where no stack is selected (or the backend is new), that is `dev`
    used="$home ${PULUMI_HOME:-$HOME/.pulumi}"
    if stacks_of "$project"; then
        { IFS= read -r known <"$kept/stack"; } 2>/dev/null && [ "$known" = "$used" ] && return
    fi
    if name=$("$engine/pulumi" stack --show-name --non-interactive 2>/dev/null); then
        fit_salt "$name"
    else
        fit_salt dev
        said=$("$engine/pulumi" stack select --create dev --non-interactive 2>&1) ||
            fail "no stack is selected, and dev cannot be: $said"
    fi
    [ ! -d "$kept" ] || printf '%s\n' "$used" >"$kept/stack"
}

in_clone() { # ARGS: what plain pulumi needs in the project's own folder
    [ -f "$root/Pulumi.yaml" ] || return 0
    project=
    while IFS= read -r line; do
        case $line in
            'name: '*) project=${line#'name: '} && break ;;
        esac
    done <"$root/Pulumi.yaml"
    case ${1-}:${2-} in
        stack:init | stack:select)
            for word; do
                fit_salt "$word"
            done
            ;;
    esac
    if needs_stack "$@"; then
        ensure_stack
    fi
}

prepares() { # ARGS: does this command work on a stack of a project of ours, so that Skyrig prepares the stack first?
    case ${1-}:${2-} in
        up:* | update:* | preview:* | pre:* | destroy:* | down:* | dn:* | refresh:* | config:refresh | stack:rm) ;;
        *) return 1 ;;
    esac
    [ -x "$here/python" ] || return 1
    folder=$PWD
    until [ -f "$folder/Pulumi.yaml" ]; do
        [ -n "$folder" ] || return 1
        folder=${folder%/*}
    done
    while IFS= read -r line; do
        case $line in
            'name: skyrig' | 'name: skyrig '*) return 0 ;;
        esac
    done <"$folder/Pulumi.yaml"
    return 1
}

here=${0%/*}
here=$(CDPATH='' cd -- "$here" && pwd -P) || exit 5
root=${here%/*/*}
kept=${here%/*}/.rig

if ! { IFS= read -r engine <"$kept/engine"; } 2>/dev/null; then
    cache=${SKYRIG_CACHE-}
    [ -n "$cache" ] && cache=$(absolute "$cache") || cache=$(default_of "${XDG_CACHE_HOME-}" .cache Library/Caches)
    engine=$cache/engine/@ENGINE@/bin
fi
[ -x "$engine/pulumi" ] || fail "Pulumi's engine is not in $engine: run $root/rig setup"

PATH=$here:$engine:$PATH
PULUMI_SKIP_UPDATE_CHECK=true
export PATH PULUMI_SKIP_UPDATE_CHECK

home=${SKYRIG_HOME-}
[ -n "$home" ] && home=$(absolute "$home") || home=$(default_of "${XDG_DATA_HOME-}" .local/share 'Library/Application Support')
if ! logged_in; then
    use_own_backend
    case "$PWD/" in
        "$root"/*) in_clone "$@" ;;
    esac
fi
if [ -n "${SKYRIG_PULUMI_DIRECT-}" ]; then
    unset SKYRIG_PULUMI_DIRECT # Skyrig itself calls
elif prepares "$@"; then
    exec "$here/python" -I -m skyrig.stack.plain "$engine/pulumi" "$@"
fi
exec "$engine/pulumi" "$@"
