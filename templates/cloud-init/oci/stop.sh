#!/bin/sh
# Stops this machine by a call: one that its own system shuts down is paid for still.
exec "$(dirname "$(readlink -f "$0")")/end" --stop
