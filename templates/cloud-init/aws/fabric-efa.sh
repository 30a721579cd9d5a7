#!/bin/sh
# What Elastic Fabric Adapter wants of the system, which its installer leaves to others.
# Processes of one node read each other's memory (cross-memory attach of libfabric's shared memory provider).
sysctl -q -w kernel.yama.ptrace_scope=0
if [ ! -d /opt/amazon/efa ]; then
  echo "fabric: no EFA software on this image (/opt/amazon/efa): use one with it, such as a Deep Learning AMI" >&2
  exit 1
fi
