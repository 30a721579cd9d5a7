#!/bin/sh
# RDMA network of this machine: Oracle's agent authenticates it to the switches and gives its interfaces their addresses
# (plugins Compute HPC RDMA Authentication and Auto-Configuration). This waits until all of them have one.
set -eu

NETWORK=${SKYRIG_NETWORK:-/sys/class/net}
TRIES=${SKYRIG_TRIES:-120}
PAUSE_S=${SKYRIG_PAUSE_S:-5}

# GPUs of NVIDIA are reached by the adapters through this module; newer kernels do it by themselves.
[ ! -e /proc/driver/nvidia ] || modprobe nvidia-peermem || true

all() { # names of the RDMA interfaces
    for interface in "$NETWORK"/rdma*; do
        [ ! -e "$interface" ] || basename "$interface"
    done
}

up() { # how many of them have an address
    found=0
    for interface in $(all); do
        [ -z "$(ip -4 -oneline address show dev "$interface" up)" ] || found=$((found + 1))
    done
    echo "$found"
}

tries=0
until [ -n "$(all)" ] && [ "$(up)" -eq "$(all | wc -l)" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt "$TRIES" ]; then
        if [ -n "$(all)" ]; then
            echo "skyrig: $(up) of $(all | wc -l) RDMA interfaces have an address" >&2
        else
            echo "skyrig: there is no RDMA interface: the image lacks Oracle's RDMA software" >&2
        fi
        exit 1
    fi
    sleep "$PAUSE_S"
done
echo "skyrig: $(up) RDMA interfaces are up"
