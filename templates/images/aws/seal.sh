# shellcheck shell=bash
# The agents of AWS register each instance under its own id.
rm -rf /var/lib/amazon/ssm/i-* /var/lib/amazon/ssm/Vault /var/lib/amazon/ssm/ipc /var/log/amazon
rm -rf /opt/aws/amazon-cloudwatch-agent/logs/* 2>/dev/null
