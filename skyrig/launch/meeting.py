"""A line to the keeper for who wants to run something, also where the cluster changes while its nodes are waited for.

Somebody else's `up` may replace the node that does not answer: the new one has another address and another host key,
and whoever goes on waiting for the old one waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from skyrig.cluster.description import ClusterDescription
from skyrig.launch.link import KeeperLink, Notify, keeper, patience

Current = Callable[[], ClusterDescription | None]
"""Tells without a wait what the cluster is now; None where that is not known, as during a deployment."""

_LOOK_S = 1.0
"""How often that is asked while nodes are waited for."""


@asynccontextmanager
async def meeting(desc: ClusterDescription, current: Current, notify: Notify) -> AsyncIterator[KeeperLink]:
    """A line to the keeper of the cluster, which knows all nodes and reaches them: those of `desc`, or those that
    `current` tells meanwhile. Errors are those of `keeper`."""
    async with AsyncExitStack() as stack:
        link = None
        while link is None:
            there = keeper(desc, patience_s=patience(desc), prepare=True, notify=notify)
            entering = asyncio.create_task(there.__aenter__())
            changing = asyncio.create_task(_changed(desc, current))
            try:
                await asyncio.wait({entering, changing}, return_when=asyncio.FIRST_COMPLETED)
                if entering.done():
                    link = entering.result()
                    stack.push_async_exit(there)
                else:
                    desc = changing.result()
                    notify(f"cluster {desc.name} has changed meanwhile; its nodes are reached as they are now")
            finally:
                entering.cancel()
                changing.cancel()
                await asyncio.wait({entering, changing})
        yield link


async def _changed(desc: ClusterDescription, current: Current) -> ClusterDescription:
    """The cluster, as soon as its nodes are not those of `desc` any more."""
    while True:
        await asyncio.sleep(_LOOK_S)
        now = current()
        if now is not None and now.nodes != desc.nodes:
            return now
