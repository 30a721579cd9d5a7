"""The controller of managed jobs on a node of its own: its cluster, what travels there, and the line to it."""
