"""Whose a cluster is: a name on everything that is made for it."""

from __future__ import annotations

import getpass
import platform
import re


def here() -> str:
    """Who makes clusters from here: USER@HOST."""
    return f"{getpass.getuser()}@{platform.node()}"


def same(one: str, other: str) -> bool:
    """Whether two names of owners are one: a cloud's labels say less than a name does."""
    return _label(one) == _label(other)


def _label(owner: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "_", owner.lower())[:63]
