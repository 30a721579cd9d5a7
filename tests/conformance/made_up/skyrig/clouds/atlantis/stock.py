"""What Atlantis has: one type in one region."""

from __future__ import annotations

from skyrig.catalog import refreshed
from skyrig.catalog.prices import Price
from skyrig.catalog.refreshed import Refreshed


def look(config: object = None) -> bool:
    """Keep what is there; whether that is news."""
    row = Price("atlantis", "deep", "trident.8", "", 0, 8, 32, 0.0, None, "2026-11-22", "atlantis")
    if refreshed.rows("atlantis") == (row,):
        return False
    refreshed.write("atlantis", Refreshed(rows=(row,), types={}, zones={}, source="atlantis", fresh=1), "2026-11-22")
    return True
