"""Faults for real clusters and the real engine, each done and undone by one value.

Every fault is a context manager (`with Cut(node, [head]): ...`) that is undone at the end of its block, and by itself
after `limit_s` seconds should the block hang. One noun a file: `cut` (the network between nodes), `slow` (bandwidth,
delay, the client's own link), `kill` (SIGKILL, SIGSTOP), `fill` (a disk), `skew` (the wall clock). `node` finds nodes
and what runs in them; `plan` makes seeded random lists of timed faults, which can be printed and run again.

They act inside the namespaces of local nodes alone: nothing of the host is changed.
"""
