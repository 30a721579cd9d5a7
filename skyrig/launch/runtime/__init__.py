"""The head's runtime: CPython, the keeper's packages and Skyrig's own code, all pinned, brought over SSH.

A foreign head (a cloud's machine, one of your own) has sshd, /bin/sh and some Python 3.8, and perhaps no way to the
internet. So the client makes everything that the keeper needs, in three **layers**: `python` and `packages`, which
change with a pin, and `skyrig`, which changes with our code and is small. `code` names them, `sources` gets them,
`layers` keeps them in the cache, `sending` brings them to a head, and skyrig/launch/unpack.py, run there, checks and
unpacks them.
"""
