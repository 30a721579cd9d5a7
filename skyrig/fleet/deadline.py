"""`timeout`: a block's time limit in seconds, asyncio's own where Python has it (3.10 does not).

What it raises is caught as `asyncio.TimeoutError`, which on 3.10 is not the built-in one.
"""

from __future__ import annotations

import sys

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout

__all__ = ["timeout"]
