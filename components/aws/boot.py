"""User data of a node as EC2 takes it. Pure functions."""

import base64
import gzip
from typing import TypedDict

from components.boot import user_data
from skyrig.errors import SkyrigError

MOST_BYTES = 16384
"""How much user data an instance has at most, before it is encoded (EC2 user guide, instancedata-add-user-data)."""


class Startup(TypedDict):
    """What of a node's user data is known before anything is made."""

    host: str
    """Wanted name of the host; letters that a host name has not are replaced."""
    fabric: str
    """Fabric of the node; none where it is not asked for."""
    accelerator: str
    """Name of its accelerators; "" on a CPU node."""
    accelerator_count: float
    """How many of them it must find."""
    container: str
    """Image of the container that jobs run in; "" where they run on the machine."""
    ends_at: int
    """When its time to live is over, in seconds since the epoch; 0 is never."""


def startup(said: Startup, host_private_key: str, host_public_key: str, client_key: str) -> str:
    """The user data, compressed (cloud-init unpacks it) and in base64. SkyrigError where it is too long."""
    text = user_data(
        {
            "cloud": "aws",
            "host": host_name(said["host"]),
            "fabric": said["fabric"],
            "accelerator": said["accelerator"],
            "accelerator_count": said["accelerator_count"],
            "container": said["container"],
            "ends_at": said["ends_at"],
            "host_private_key": host_private_key,
            "host_public_key": host_public_key,
            "client_key": client_key,
        }
    )
    packed = gzip.compress(text.encode(), mtime=0)
    if len(packed) > MOST_BYTES:
        raise SkyrigError(f"user data of {said['host']}: {len(packed)} bytes, EC2 takes {MOST_BYTES}")
    return base64.b64encode(packed).decode()


def host_name(wanted: str) -> str:
    """A name that a host can have, the end of `wanted` kept."""
    return "".join(letter if letter.isalnum() else "-" for letter in wanted.lower())[-63:].strip("-")
