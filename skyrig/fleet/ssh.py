"""asyncssh, imported in two thirds of its time: all of Skyrig that needs it imports it from here.

At its import asyncssh looks for liboqs and nettle, by a compiler and a linker where the machine has them: 0.1 s of
every command that speaks to a node. They would add one key exchange and one MAC to those that asyncssh has anyway.
"""

from __future__ import annotations

import ctypes.util

_find_library = ctypes.util.find_library
ctypes.util.find_library = lambda name: None
try:
    import asyncssh
    from asyncssh.channel import SSHChannel
    from asyncssh.stream import SSHServerStreamSession
finally:
    ctypes.util.find_library = _find_library

__all__ = ["SSHChannel", "SSHServerStreamSession", "asyncssh"]
