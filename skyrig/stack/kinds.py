"""The kinds of stacks: clusters, data stacks (buckets and no nodes) and image stacks (one machine image and no nodes).

A stack is what it has, by the component in its state; one that has nothing is what its config says. None ever becomes
another kind: what outlives clusters would go with one.
"""

from __future__ import annotations

import re

from attrs import frozen

from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput
from skyrig.stack import backend, config


@frozen
class Kind:
    """One kind: the component that its stacks are made of, what one `holds` in words, and how that is taken away."""

    component: str
    holds: str
    deleted: str


CLUSTER = Kind("skyrig:index:Cluster", "nodes", "")
DATA = Kind("skyrig:index:Data", "buckets", "buckets are deleted one by one")
IMAGE = Kind("skyrig:index:Image", "a machine image", "`image.delete` deletes it")
KINDS = (CLUSTER, DATA, IMAGE)


def components(stack: str) -> set[str]:
    """Which of the components of KINDS a file backend's state of the stack holds. The text is looked through, not read:
    this is asked of every stack whenever some are listed."""
    file = backend.state_file(stack)
    try:
        state = file.read_bytes() if file else b""
    except OSError:
        return set()
    return {each.component for each in KINDS if re.search(rb'"type": ?"%s"' % each.component.encode(), state)}


def of(stack: str) -> Kind:
    """The kind of a stack; a cluster's where nothing says another one."""
    held = components(stack)
    if held:
        return CLUSTER if CLUSTER.component in held else IMAGE if IMAGE.component in held else DATA
    try:
        return of_shape(config.read_shape(stack))
    except BadInput:
        return CLUSTER


def of_shape(shape: Shape) -> Kind:
    """The kind of a stack of this shape."""
    return IMAGE if shape.is_image else DATA if shape.is_data else CLUSTER


def has_buckets(stack: str) -> bool:
    """Whether a stack has buckets, beside a cluster or alone."""
    if backend.folder() is not None:
        return DATA.component in components(stack)
    return bool(config.read_shape(stack).buckets)
