"""Nodes of the embedded local cloud: real SSH servers in detached processes.

`python -m skyrig.fleet.local VERB` takes a JSON object on stdin and prints one JSON object; the Pulumi components run
it as a subprocess and know nothing else of this package. The verbs that start something import the standard library
only, for 64 nodes are started one after the other; asyncssh is imported by the detached server.

- `node`: the folder of a node and its life: start, check, stop (which takes it away).
- `power`: switching a node off and on again: halt, resume. `boot` starts its server.
- `preemption`: killing one after a warning. `partition`: cutting one off from the others. `capacity`: places that have
  room for so many.
- `environment`: the node's own python environment, shims and the environment of its sessions.
- `plain`, `spaces`: the two levels of isolation. `mounts`, `netlink`, `kernel` serve `spaces`.
- `switch`: the network between the nodes of one stack (level `namespaces`), with its proxy to the outside.
- `server`, `session`, `children`: the SSH server that runs in a node.
"""
