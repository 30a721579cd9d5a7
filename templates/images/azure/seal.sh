# shellcheck shell=bash
# Azure's agent takes away what it has provisioned. The user stays, with what the recipe has put into their home: every
# node of ours has the same one.
if command -v waagent >/dev/null; then
  waagent -force -deprovision || {
    echo "seal: waagent cannot deprovision this machine" >&2
    exit 1
  }
fi
rm -rf /var/lib/waagent/* /var/log/azure/* 2>/dev/null
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf # deprovisioning removes it
