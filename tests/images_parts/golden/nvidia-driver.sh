#!/bin/bash
# NVIDIA's driver 580, held: one that is upgraded beneath a job ends it. It is in use after the next boot.
set -eu
export DEBIAN_FRONTEND=noninteractive
refused() { # WHY: say it and end
  echo "nvidia-driver: $1" >&2
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
branch=580
there=$(modinfo --field version nvidia 2>/dev/null || true)
if [ "${there%%.*}" = "${branch%%.*}" ]; then
  echo "nvidia-driver: driver $there is there"
  exit 0
fi
[ -z "$there" ] || refused "driver $there is there: begin with an image without one, or ask for ${there%%.*}"
nvidia_archive
installed "linux-headers-$(uname -r)" build-essential
if [ "${branch%%.*}" -ge 590 ]; then
  installed "nvidia-driver-pinning-$branch"
  packages=(nvidia-open nvidia-fabricmanager)
else
  packages=("nvidia-open-$branch" "nvidia-fabricmanager-$branch")
fi
installed "${packages[@]}"
apt-mark hold "${packages[@]}" >/dev/null
# It ends at once where there is no NVSwitch.
systemctl enable nvidia-fabricmanager >/dev/null 2>&1 || true
there=$(modinfo --field version nvidia) || refused "its kernel module was not built for $(uname -r)"
echo "nvidia-driver: $there"
