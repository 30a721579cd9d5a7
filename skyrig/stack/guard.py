"""No stack is ever touched with another account's credentials than those that it was made with.

With the wrong ones a refresh would believe that everything is gone, and an up would make it all again, twice paid. The
providers in the state hold the account too; this says it before the engine starts, in one line.
"""

from __future__ import annotations

from skyrig.clouds import cloud as clouds
from skyrig.cluster import stores
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput


class WrongAccount(BadInput):
    """The credentials here belong to another account than the one that pays for the stack (exit code 2)."""


def check(stack: str, shape: Shape) -> None:
    """WrongAccount where the credentials at hand are not those of the accounts in the stack's config."""
    asked = [(shape.cloud, shape.machine.account, shape.machine.region)]
    asked += [(stores.all_known()[bucket.store].cloud, bucket.account, bucket.region) for bucket in shape.buckets]
    for cloud, paying, region in dict.fromkeys(asked):
        if not paying or cloud not in clouds.known():
            continue
        here = clouds.of(cloud).account(region)
        if here and here.lower() != paying.lower():
            raise WrongAccount(
                f"stack {stack} belongs to the {cloud} account {paying}, the credentials here to {here}",
                hint=f"use those of {paying}; nothing was changed",
            )
