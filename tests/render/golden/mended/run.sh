#!/bin/bash
# Rendered by Skyrig. Runs the `run` text of a task, which is user.sh, byte for byte; its exit code is the one
# of its last command.
# torchrun with --nnodes and no --node-rank: PET_NODE_RANK=$SKYPILOT_NODE_RANK, PET_MASTER_ADDR=$MASTER_ADDR, PET_MASTER_PORT=$MASTER_PORT (it reads these)
# deepspeed on every node: it gets --no_ssh, its node rank, the job's hostfile and master address

# The shell that a login to this node has: a .bashrc often returns at once where the shell is not interactive, so an
# interactive one reads it, and what it made comes back through a file. Variables of the job are left out: the job's
# values stand above those of .bashrc.
if [ -r ~/.bashrc ]; then
  read -r -a skyrig_names <<<"SKYRIG_RANK_DIR SKYRIG_NODE_LOCK ${SKYRIG_ENV_NAMES-}"
  skyrig_shell=$SKYRIG_RANK_DIR/shell.$$
  # shellcheck disable=SC2016 # "$@" belongs to the inner shell
  (
    umask 077
    "$BASH" -i -c 'exec >&3; unset -v PWD OLDPWD SHLVL "$@"; declare -px; shopt -p; declare -f; alias -p' \
      skyrig "${skyrig_names[@]}" 3>"$skyrig_shell" >/dev/null 2>&1 </dev/null
  )
  # shellcheck disable=SC1090 # written by the lines above
  . "$skyrig_shell" >/dev/null 2>&1
  rm -f "$skyrig_shell"
  unset -v skyrig_names skyrig_shell
fi
if command -v conda >/dev/null && [ "$(type -t conda)" != function ]; then
  eval "$(conda shell.bash hook 2>/dev/null)"
fi
export PATH="$PATH:$SKYRIG_RANK_DIR/fallbacks"

# What torch, NCCL, MPI and libfabric are told of this node's own network, which only the node knows.
export SKYRIG_HOSTFILE=$SKYRIG_RANK_DIR/hostfile
while read -r skyrig_order skyrig_name skyrig_value; do
  case $skyrig_order in
    skyrig-set) export "$skyrig_name=$skyrig_value" ;;
    skyrig-unset) unset -v "$skyrig_name" ;;
    skyrig-say) echo "[skyrig] $skyrig_name $skyrig_value" >&2 ;;
  esac
done <<<"$(python3 -I -S "$SKYRIG_RANK_DIR/fabric.py" orders 2>/dev/null)"
unset -v skyrig_order skyrig_name skyrig_value

export PET_NODE_RANK="${PET_NODE_RANK:-$SKYPILOT_NODE_RANK}"
export PET_MASTER_ADDR="${PET_MASTER_ADDR:-$MASTER_ADDR}"
export PET_MASTER_PORT="${PET_MASTER_PORT:-$MASTER_PORT}"

# A function too: an environment that the text activates puts its own programs first on PATH.
export PATH="$SKYRIG_RANK_DIR/shims:$PATH"
deepspeed() {
  "$SKYRIG_RANK_DIR/shims/deepspeed" "$@"
}
export -f deepspeed

# shellcheck disable=SC1091 # the user's own text
. "$SKYRIG_RANK_DIR/user.sh"
