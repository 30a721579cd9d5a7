"""The controller: one process of the user that looks after what lives longer than a command.

What it cares for are wards (`ward`), rows of one table (`table`): services now, managed jobs later. It watches each
service's steward and changes the set of nodes as that one wants, with the engine, which the nodes cannot run; all that
replicas need while nodes stay as they are is done on the head, without it.
"""
