#!/bin/bash
# Rendered by Skyrig. Starts the script once on every node with TF_CONFIG, from which MultiWorkerMirroredStrategy learns
# of the others. One process a node: it takes all the node's accelerators.

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

# Not `command -v`: an alias of that name is no program.
SKYRIG_PYTHON=$(type -P python || type -P python3)
if [ -z "$SKYRIG_PYTHON" ]; then
  echo "skyrig: no python on the PATH of this node; let the task's setup install one" >&2
  exit 127
fi
export SKYRIG_PYTHON
case ${SKYRIG_MODEL_DIR-} in
  \~/*) export SKYRIG_MODEL_DIR=$HOME/${SKYRIG_MODEL_DIR#??} ;;
esac

export TF_CONFIG="${TF_CONFIG:-$SKYRIG_TF_CONFIG}"
exec /bin/bash "$SKYRIG_RANK_DIR/rank.sh"
