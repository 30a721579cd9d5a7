#!/bin/bash
# CUDA 12.9, without a driver, which is a part of its own.
set -eu
export DEBIAN_FRONTEND=noninteractive
refused() { # WHY: say it and end
  echo "cuda-toolkit: $1" >&2
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
version=12.9
if [ ! -x "/usr/local/cuda-$version/bin/nvcc" ]; then
  nvidia_archive
  installed "cuda-toolkit-${version/./-}"
fi
ln -sfn "/usr/local/cuda-$version" /usr/local/cuda
cat >/etc/profile.d/skyrig-cuda.sh <<'PROFILE'
export PATH="/usr/local/cuda/bin:$PATH"
PROFILE
"/usr/local/cuda-$version/bin/nvcc" --version | tail -n 1
