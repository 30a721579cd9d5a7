#!/bin/bash
# EFA 1.48.0 by AWS's installer, whose signature is checked against the key that AWS names.
set -eu
export DEBIAN_FRONTEND=noninteractive
refused() { # WHY: say it and end
  echo "efa: $1" >&2
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
version=1.48.0
there=$(sed -n 's/^#* *EFA installer version: *//p' /opt/amazon/efa_installed_packages 2>/dev/null || true)
if [ -n "$there" ] && [ "$(printf '%s\n' "$version" "$there" | sort --version-sort | head -n 1)" = "$version" ]; then
  echo "efa: $there is there" # AWS's own images may have a newer one
  exit 0
fi
installed curl gnupg pciutils environment-modules tcl "linux-headers-$(uname -r)"
folder=$(mktemp -d)
cd "$folder"
file=aws-efa-installer-$version.tar.gz
for each in "$file" "$file.sig" aws-efa-installer.key; do
  fetched "https://efa-installer.amazonaws.com/$each" "$each"
done
export GNUPGHOME=$folder/keys
mkdir -m 0700 "$GNUPGHOME"
gpg --quiet --import aws-efa-installer.key
gpg --status-fd 1 --verify "$file.sig" "$file" 2>/dev/null | grep -q "^\[GNUPG:\] VALIDSIG .*4E9091BCBB97A96B26B15E59A05480B1DD2D3CCC" ||
  refused "the signature of $file is not AWS's"
tar -xzf "$file"
cd aws-efa-installer
./efa_installer.sh --yes >install.log 2>&1 ||
  refused "the installer failed: $(tail -n 1 install.log)"
cd /
rm -rf "$folder"
[ -x /opt/amazon/efa/bin/fi_info ] || refused "it was installed, and there is no fi_info"
echo "efa: $version"
