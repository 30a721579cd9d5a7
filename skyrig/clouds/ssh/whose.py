"""Whose machines are: what a lease says of the SKYRIG_HOME that took it, and of the cluster."""

from __future__ import annotations

import os
import uuid

from skyrig import places


def home() -> str:
    """What tells this SKYRIG_HOME from all others: made once, and kept in it."""
    file = places.home() / "ssh-home"
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        pass
    made = uuid.uuid4().hex
    fresh = places.made(places.home()) / f".ssh-home.{made}"
    fresh.write_text(made + "\n")
    try:
        os.link(fresh, file)  # of two who do this, one succeeds, and both read what that one has written
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return file.read_text().strip()


def mark(stack: str, whose: str = "") -> str:
    """What a cluster's lines on gates are known by; of one that the SKYRIG_HOME `whose` made, by default this one."""
    return f"{stack}.{(whose or home())[:12]}"
