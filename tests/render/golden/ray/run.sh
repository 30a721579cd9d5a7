#!/bin/bash
# Rendered by Skyrig. Starts a Ray cluster of this job's nodes, which ends with it. When all nodes have joined, the
# script runs on rank 0 alone, with RAY_ADDRESS; the other ranks lend their node until it has ended.

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

said=$SKYRIG_RANK_DIR/ray.out
start_ray() { # OPTIONS: Ray on this node, as the child $ray
  options=(--block --disable-usage-stats --node-ip-address="$SKYRIG_NODE_ADDRESS" --min-worker-port=0 --max-worker-port=0)
  if [ "$SKYRIG_DEVICE" = cpu ]; then
    options+=(--num-gpus=0)
  fi
  "$SKYRIG_PYTHON" -m ray.scripts.scripts start "${options[@]}" "$@" >"$said" 2>&1 &
  ray=$!
}
end_ray() {
  kill -TERM "$ray" 2>/dev/null
  wait "$ray"
}
fail() { # REASON
  tail -n 30 "$said" >&2
  echo "[skyrig] $1" >&2
  exit 1
}

if [ "$SKYRIG_NODE_RANK" -ne 0 ]; then
  exec 3< <("$SKYRIG_PYTHON" -I -S "$SKYRIG_RANK_DIR/gather.py" stay)
  read -r port <&3 || exit 1
  start_ray --address="$MASTER_ADDR:$port" 3<&-
  while :; do
    read -r -t 1 _ <&3
    if [ $? -le 128 ]; then # not a second that went by: rank 0 has ended
      end_ray
      exit 0
    fi
    kill -0 "$ray" 2>/dev/null || fail "Ray ended on this node before the script did"
  done
fi

port=$("$SKYRIG_PYTHON" -I -S "$SKYRIG_RANK_DIR/gather.py" port) || exit 1
client=$("$SKYRIG_PYTHON" -I -S "$SKYRIG_RANK_DIR/gather.py" port) || exit 1
# A socket's name may not be long: not in this job's folder.
folder=$(mktemp -d /tmp/ray-XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 143' TERM
start_ray --head --port="$port" --ray-client-server-port="$client" --include-dashboard=false --temp-dir="$folder"
SKYRIG_TOLD=$port "$SKYRIG_PYTHON" -I -S "$SKYRIG_RANK_DIR/gather.py" hold &
holder=$!
export RAY_ADDRESS=$SKYRIG_NODE_ADDRESS:$port
patience=120 # seconds
until (exec 3<>"/dev/tcp/$SKYRIG_NODE_ADDRESS/$port") 2>/dev/null; do
  if [ "$SECONDS" -gt "$patience" ] || ! kill -0 "$ray" 2>/dev/null; then
    fail "Ray could not be started on rank 0"
  fi
  sleep 0.1
done
"$SKYRIG_PYTHON" "$SKYRIG_RANK_DIR/joined.py" "$patience" || fail "the Ray cluster is not whole"

/bin/bash "$SKYRIG_RANK_DIR/rank.sh"
code=$?
kill "$holder" 2>/dev/null
end_ray
exit "$code"
