"""After a destroy: is anything still there that the state does not know? It is looked for by the stack's tag, removed,
and named with its price where it stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skyrig.clouds import cloud as clouds
from skyrig.clouds.cloud import Cloud, Leftover
from skyrig.cluster import owner
from skyrig.cluster.shape import Shape
from skyrig.errors import SkyrigError

Notify = Callable[[str], None]
"""Takes one line for the reader."""


class LeftBehind(SkyrigError):
    """Something of a destroyed stack is still there (exit code 5)."""


def sweep(stack: str, shape: Shape, notify: Notify) -> None:
    """Remove what a destroyed stack has left on its cloud. LeftBehind names what stays, each with its hourly price."""
    if shape.is_queue or shape.cloud not in clouds.known():
        return
    cloud = clouds.of(shape.cloud, shape.machine.account)
    if lacking := cloud.missing():  # the engine's plugins know more ways to credentials than we do
        notify(f"{stack}: destroyed, and nobody has looked for what is left on {shape.cloud}: {lacking}")
        return
    for region in (shape.machine.region, *(shape.imaged.regions if shape.imaged is not None else ())):
        _swept(cloud, stack, region, shape, notify)


def _swept(cloud: Cloud, stack: str, region: str, shape: Shape, notify: Notify) -> None:
    """The same in one region."""
    left = _ours(cloud.leftovers(stack, region), shape)
    if not left:
        return
    notify(f"{stack}: still there under its tag, removing it: {', '.join(map(str, left))}")
    cloud.remove(stack, region, left)
    stays = _ours(cloud.leftovers(stack, region), shape)
    if stays:
        known = sum(each.hourly or 0.0 for each in stays)
        again = "image.delete again" if shape.is_image else f"`down -c {stack}` tries again"
        raise LeftBehind(
            f"{stack} has left on {shape.cloud} in {region}, at ${known:.4f}/h: {', '.join(map(str, stays))}",
            hint=f"{again}; else remove it there",
        )


def _ours(left: Sequence[Leftover], shape: Shape) -> list[Leftover]:
    """What is not another one's: two people may have stacks of one name in one account."""
    return [each for each in left if not (each.owner and shape.owner) or owner.same(each.owner, shape.owner)]
