"""By what a bucket is named to the nodes that shall open it: here by the id of its container."""

from __future__ import annotations

from skyrig.clouds.azure import names


def name(account: str, stack: str, url: str) -> str:
    """The id of the container that the stack `stack` has made in the subscription `account`, by its url."""
    return names.container(account, stack, url)
