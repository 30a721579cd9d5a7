"""Whose machines a key opens, asked before anything of a stack is."""

from functools import cache

from skyrig.clouds import cloud as clouds
from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.machines_api.machine import Rents, connect


@cache
def opened(cloud: str, account: str) -> Rents:
    """The account that a stack belongs to. NotUsable where the key here opens another one: to that account all machines
    of the stack are unknown, and would count as gone."""
    here = clouds.of(cloud).account("")
    if here != account:
        raise NotUsable(
            f"{cloud}: the credentials here are of account {here or '(none)'}, and the stack is of {account}",
            hint="have those of its account here",
        )
    return connect(cloud, account)
