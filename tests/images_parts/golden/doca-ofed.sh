#!/bin/bash
# DOCA-OFED 3.1.0: drivers and tools for InfiniBand, from NVIDIA's archive of that very version.
set -eu
export DEBIAN_FRONTEND=noninteractive
refused() { # WHY: say it and end
  echo "doca-ofed: $1" >&2
  exit 1
}
[ "$(id -u)" -eq 0 ] || refused "root is wanted"
# shellcheck source=/dev/null
. /etc/os-release
system=$ID$VERSION_ID
case $system in
  ubuntu22.04 | ubuntu24.04 | debian12) ;;
  *) refused "Ubuntu 22.04, 24.04 or Debian 12 is wanted; this is $PRETTY_NAME" ;;
esac
installed() { # PACKAGE...: have them, newest or with =VERSION
  for _ in 1 2 3; do
    apt-get -qq update && apt-get -qq install -y --allow-downgrades --no-install-recommends "$@" && return
    sleep 10
  done
  refused "packages cannot be had: $*"
}
fetched() { # URL FILE
  curl --fail --silent --show-error --location --retry 5 --retry-connrefused --output "$2" "$1" || refused "$1 cannot be had"
}
nvidia_archive() { # NVIDIA's packages for this Ubuntu
  dpkg -s cuda-keyring >/dev/null 2>&1 && return
  case $(uname -m) in
    aarch64) machine=sbsa ;;
    *) machine=x86_64 ;;
  esac
  fetched "https://developer.download.nvidia.com/compute/cuda/repos/${system//./}/$machine/cuda-keyring_1.1-1_all.deb" /tmp/cuda-keyring.deb
  dpkg -i /tmp/cuda-keyring.deb >/dev/null || refused "NVIDIA's archive is not for this system"
  rm -f /tmp/cuda-keyring.deb
}
version=3.1.0
case $(uname -m) in
  aarch64) machine=arm64-sbsa ;;
  *) machine=x86_64 ;;
esac
installed curl gnupg "linux-headers-$(uname -r)"
fetched https://linux.mellanox.com/public/repo/doca/GPG-KEY-Mellanox.pub /tmp/doca.pub
gpg --dearmor --yes --output /usr/share/keyrings/doca.gpg /tmp/doca.pub
rm -f /tmp/doca.pub
echo "deb [signed-by=/usr/share/keyrings/doca.gpg] https://linux.mellanox.com/public/repo/doca/$version/$system/$machine ./" \
  >/etc/apt/sources.list.d/doca.list
installed doca-ofed
apt-mark hold doca-ofed >/dev/null
systemctl enable openibd >/dev/null 2>&1 || true
echo nvidia-peermem >/etc/modules-load.d/skyrig-peermem.conf # GPU memory for the adapters; loaded where there is a driver
ofed_info -s
