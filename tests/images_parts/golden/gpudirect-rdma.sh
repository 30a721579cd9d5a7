#!/bin/bash
# What the boot of a node with this fabric would get first: so it is there already. The interfaces, the daemon and
# NCCL's environment are the boot's own, since they need the machine that they are for.
set -eu
export DEBIAN_FRONTEND=noninteractive
refused() { # WHY: say it and end
  echo "fabric: $1" >&2
  exit 1
}
installed() { # PACKAGE...: have them, newest or with =VERSION
  for _ in 1 2 3; do
    apt-get -qq update && apt-get -qq install -y --allow-downgrades "$@" && return
    sleep 10
  done
  refused "packages cannot be had: $*"
}
google_packages() { # ARCHIVE: the packages of Google's GPU fabrics, which apt reads through a transport of its own
  curl -fsSL https://us-apt.pkg.dev/doc/repo-signing-key.gpg | gpg --dearmor --yes -o /usr/share/keyrings/google-apt.gpg
  curl -fsSL https://packages.cloud.google.com/apt/doc/apt-key.gpg | gpg --dearmor --yes -o /usr/share/keyrings/google-cloud.gpg
  echo "deb [signed-by=/usr/share/keyrings/google-cloud.gpg] https://packages.cloud.google.com/apt apt-transport-artifact-registry-stable main" \
    >/etc/apt/sources.list.d/artifact-registry.list
  installed apt-transport-artifact-registry
  echo "deb [signed-by=/usr/share/keyrings/google-apt.gpg] ar+https://us-apt.pkg.dev/projects/gce-ai-infra $1 main" \
    >"/etc/apt/sources.list.d/$1.list"
}
docker_with_gpus() { # docker, and its runtime for NVIDIA's GPUs from NVIDIA's own archive
  command -v docker >/dev/null || installed docker.io
  command -v nvidia-ctk >/dev/null && return
  # shellcheck source=/dev/null
  . /etc/os-release
  curl -fsSL -o /tmp/cuda-keyring.deb \
    "https://developer.download.nvidia.com/compute/cuda/repos/ubuntu${VERSION_ID//./}/x86_64/cuda-keyring_1.1-1_all.deb"
  dpkg -i /tmp/cuda-keyring.deb
  installed nvidia-container-toolkit
  nvidia-ctk runtime configure --runtime=docker && systemctl restart docker
}
interfaces_up() { # every interface of the fabric has its address
  /usr/lib/systemd/systemd-networkd-wait-online -i enp0s19 -i enp192s20 -o routable --timeout=120 ||
    refused "interfaces are missing: enp0s19 enp192s20"
}
said_by_profile() { # FILE: what Google's own script sets for NCCL goes where NCCL reads it, but for the interfaces of other images
  [ -r "$1" ] || refused "there is no $1"
  # shellcheck disable=SC2016 # the inner shell's $1
  env -i PATH="$PATH" NCCL_LIB_DIR="${1%/*}" bash -c '. "$1" >/dev/null && env' - "$1" |
    grep '^NCCL_' | grep -vE '^NCCL_(LIB_DIR|SOCKET_IFNAME|FASTRAK_IFNAME|FASTRAK_CTRL_DEV)=' >/etc/nccl.conf
  chmod 0644 /etc/nccl.conf
}
[ "$(id -u)" -eq 0 ] || refused "root is wanted"
google_packages gpudirect-gib-apt
installed ibverbs-utils nccl-gib=1.1.0 libnccl2=2.27.5-1+cuda12.9 libnccl-dev=2.27.5-1+cuda12.9
apt-mark hold nccl-gib libnccl2 libnccl-dev >/dev/null
echo "gpudirect-rdma: done"
