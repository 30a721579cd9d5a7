#!/bin/bash
# Rendered by Skyrig. Runs one training process and records how it ended in $SKYRIG_RANK_DIR/proc/LOCAL_RANK.PID: the
# exit codes of launchers tell less (torch's is 1 whatever the script returned). Arguments are what a launcher adds.

if [ -n "${SKYRIG_CUDA_VISIBLE_DEVICES-}" ]; then
  export CUDA_VISIBLE_DEVICES=$SKYRIG_CUDA_VISIBLE_DEVICES
fi

child=
interrupted=
forwarded=
# shellcheck disable=SC2329 # called by the traps
forward() {
  interrupted=1
  [ -n "$child" ] || exit 143
  case $forwarded in
    *"$1"*) ;; # once: whoever signals a whole tree has reached the child too
    *) kill -"$1" "$child" 2>/dev/null ;;
  esac
  forwarded+=$1
}
trap 'forward TERM' TERM
trap 'forward INT' INT

(
  trap - TERM INT QUIT # a shell may start what is in the background with INT and QUIT ignored
  # shellcheck disable=SC2016,SC2088,SC1003 # the script and its arguments are the user's words, and stay as they are
  exec "$SKYRIG_PYTHON" -u train.py "$@" --steps 20
) &
child=$!

# A signal interrupts `wait` (bash then says 128 + its number); 127 or less than 0 afterwards means that the child was
# known to have ended before, and how.
code=127
while :; do
  interrupted=
  wait "$child"
  status=$?
  [ "$status" -lt 0 ] || [ "$status" -eq 127 ] || code=$status
  [ -n "$interrupted" ] || break
done

record=$SKYRIG_RANK_DIR/proc/${LOCAL_RANK:-0}.$$
mkdir -p "$SKYRIG_RANK_DIR/proc"
if printf '%s\n' "$code" >"$SKYRIG_RANK_DIR/proc.$$"; then
  mv -f "$SKYRIG_RANK_DIR/proc.$$" "$record"
fi
if [ "$code" -ne 0 ]; then
  printf '[skyrig] a process of this rank exited with code %d\n' "$code" >&2 # before its launcher says more
fi
exit "$code"
