"""No stack is ever touched with another account's credentials than those that it was made with.

With the wrong ones a refresh would believe that everything is gone, and an up would make it all again, twice paid. The
providers in the state hold the account too; this says it before the engine starts, in one line.
"""

from __future__ import annotations

from skyrig.clouds import cloud as clouds
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput


class WrongAccount(BadInput):
    """The credentials here belong to another account than the one that pays for the stack (exit code 2)."""


def check(stack: str, shape: Shape) -> None:
    """WrongAccount where the credentials at hand are not those of the account in the stack's config."""
    paying = shape.machine.account
    if not paying or shape.cloud not in clouds.known():
        return
    here = clouds.of(shape.cloud).account(shape.machine.region)
    if here and here.lower() != paying.lower():
        raise WrongAccount(
            f"stack {stack} belongs to the {shape.cloud} account {paying}, the credentials here to {here}",
            hint=f"use those of {paying}; nothing was changed",
        )
