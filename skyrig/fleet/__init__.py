"""Reaching nodes over SSH: connections, parallel commands, file sync. Knows nodes only; jobs and stacks live elsewhere.

This module stays empty on purpose: `import skyrig.fleet` must not pay for asyncssh. Import the module you need.
"""
