"""The embedded local cloud: nodes are detached processes on this machine, made by dynamic resources."""
