"""The region that the user's credentials for Oracle Cloud name."""

from __future__ import annotations

from skyrig.clouds.oci import session


def region() -> str:
    """It, by files and variables alone; "" where none is named."""
    return session.settings().get("region", "")
