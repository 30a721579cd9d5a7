# shellcheck shell=bash
# The guest agent of Google Cloud knows a machine by its id, and makes host keys where that is another one.
rm -f /etc/instance_id /etc/boto.cfg /var/lib/google/* 2>/dev/null
rm -rf /etc/google_instance_id /var/lib/google-guest-agent 2>/dev/null
rm -f /etc/sudoers.d/google_sudoers
