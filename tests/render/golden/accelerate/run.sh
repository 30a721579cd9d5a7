#!/bin/bash
# Rendered by Skyrig. Starts Accelerate's launcher on this node; it meets the others at MASTER_ADDR:MASTER_PORT.

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

processes=$((SKYRIG_NUM_NODES * SKYRIG_PROCS_PER_NODE))
options=(
  --num_processes "$processes" --num_machines "$SKYRIG_NUM_NODES" --machine_rank "$SKYRIG_NODE_RANK"
  --main_process_ip "$MASTER_ADDR" --main_process_port "$MASTER_PORT"
  --mixed_precision "${ACCELERATE_MIXED_PRECISION:-no}" --dynamo_backend "${ACCELERATE_DYNAMO_BACKEND:-no}"
)

if [ "$SKYRIG_DEVICE" = gpu ]; then
  if [ "$processes" -gt 1 ]; then
    options+=(--multi_gpu --same_network)
  fi
  exec "$SKYRIG_PYTHON" -m accelerate.commands.launch "${options[@]}" \
    --no_python /bin/bash "$SKYRIG_RANK_DIR/rank.sh"
fi

# On CPUs Accelerate's launcher starts one process and takes its rank from the environment: one launcher a process.
# One process a local rank. As soon as one fails, the others of this node are ended: the whole process group, in which
# nothing but this job runs.
failed=$SKYRIG_RANK_DIR/failed
# shellcheck disable=SC2329 # called by the trap
end_all() {
  trap '' USR1 TERM
  kill -TERM 0
}
trap end_all USR1
export LOCAL_WORLD_SIZE=$SKYRIG_PROCS_PER_NODE
export WORLD_SIZE=$((SKYRIG_NUM_NODES * SKYRIG_PROCS_PER_NODE))
for ((local_rank = 0; local_rank < SKYRIG_PROCS_PER_NODE; local_rank++)); do
  [ ! -e "$failed" ] || break
  (
    trap : TERM INT # the process decides what these mean
    export LOCAL_RANK=$local_rank
    export RANK=$((SKYRIG_NODE_RANK * SKYRIG_PROCS_PER_NODE + local_rank))
    "$SKYRIG_PYTHON" -m accelerate.commands.launch --quiet --cpu "${options[@]}" \
      --no_python /bin/bash "$SKYRIG_RANK_DIR/rank.sh"
    code=$?
    if [ "$code" -ne 0 ]; then
      set -o noclobber # the first one's code stays
      echo "$code" 2>/dev/null >"$failed"
      kill -USR1 $$
    fi
  ) &
done

# A signal interrupts `wait`, hence the loop.
wait
while [ -n "$(jobs -pr)" ]; do
  wait
done
code=0
[ ! -e "$failed" ] || read -r code <"$failed"
exit "$code"
