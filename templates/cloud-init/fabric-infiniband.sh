#!/bin/sh
# InfiniBand of this machine: drivers are in the image; this waits until its ports are up.
set -eu

# GPUs of NVIDIA are reached by the adapters through this module; newer kernels do it by themselves.
[ ! -e /proc/driver/nvidia ] || modprobe nvidia-peermem || true

ports() { # how many ports of InfiniBand are up
    found=0
    for port in /sys/class/infiniband/*/ports/1; do
        [ -e "$port/state" ] || continue
        grep -q InfiniBand "$port/link_layer" && grep -q ACTIVE "$port/state" && found=$((found + 1))
    done
    echo "$found"
}

adapters() { # how many adapters of InfiniBand there are
    found=0
    for port in /sys/class/infiniband/*/ports/1; do
        [ -e "$port/link_layer" ] && grep -q InfiniBand "$port/link_layer" && found=$((found + 1))
    done
    echo "$found"
}

tries=0
until [ "$(adapters)" -gt 0 ] && [ "$(ports)" -eq "$(adapters)" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ]; then
        echo "skyrig: $(ports) of $(adapters) InfiniBand ports are up" >&2
        exit 1
    fi
    sleep 5
done
echo "skyrig: $(ports) InfiniBand ports are up"
