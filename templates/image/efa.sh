# AWS's EFA stack: kernel module, libfabric and the plugin for NCCL, out of AWS's signed installer. May be run again.
set -eu
[ "$(id -u)" != 0 ] || sudo() { "$@"; }
if [ -x /opt/amazon/efa/bin/fi_info ]; then
  echo "EFA is there: $(cat /opt/amazon/efa_installed_packages 2>/dev/null | head -n 1)"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for file in aws-efa-installer.key aws-efa-installer-latest.tar.gz aws-efa-installer-latest.tar.gz.sig; do
  curl -fsSLO --retry 5 "https://efa-installer.amazonaws.com/$file"
done
export GNUPGHOME="$folder/gnupg"
mkdir -m 700 "$GNUPGHOME"
gpg --quiet --import aws-efa-installer.key
# The fingerprint as AWS's guide to EFA prints it.
gpg --with-colons --fingerprint | grep -q '^fpr:*4E9091BCBB97A96B26B15E59A05480B1DD2D3CCB:' || {
  echo "the key of AWS's EFA installer is another one than it was" >&2
  exit 1
}
gpg --verify aws-efa-installer-latest.tar.gz.sig aws-efa-installer-latest.tar.gz
tar -xzf aws-efa-installer-latest.tar.gz
cd aws-efa-installer
sudo ./efa_installer.sh --yes
