"""What clusters of every cloud are asked for."""

from typing import TypedDict


class WantedNodeArgs(TypedDict):
    """One wanted node of a cluster."""

    id: str
    """Stable id, never reused for another role."""
    group: str
    """Group that the node belongs to."""
    version: int
    """Version of that group's definition; another version is another node."""
