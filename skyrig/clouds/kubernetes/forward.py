"""A way to a port of a pod, for SSH: `python -m skyrig.clouds.kubernetes.forward CONTEXT NAMESPACE LABELS PORT`.

What comes in goes there, what comes from there goes out, through the API server (its sub-resource portforward, by a
websocket). The pod is looked up by its labels at each start, so that one that was made anew is found.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

from skyrig.clouds.kubernetes.door import opened
from skyrig.errors import SkyrigError

_DATA, _ERROR = 0, 1
"""Channels of the websocket, for the one port."""

_PART = 64 * 1024
_PROTOCOL = "v4.channel.k8s.io"


class NoPod(SkyrigError):
    """No pod with those labels runs."""


async def forward(context: str, namespace: str, labels: str, port: int) -> None:
    """Carry bytes until either side has said all."""
    api = await opened(context)
    name = await _pod(api, namespace, labels)
    reader = await _stdin()
    path = {"version": "", "base": f"/api/v1/namespaces/{namespace}/pods/{name}", "url": "portforward"}
    async with api.open_websocket(**path, params={"ports": str(port)}, subprotocols=[_PROTOCOL]) as socket:
        up = asyncio.ensure_future(_up(reader, socket))
        down = asyncio.ensure_future(_down(socket))
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        if up.done() and not down.done():
            await asyncio.wait({down}, timeout=5)
        for task in (up, down):
            task.cancel()
        if down.done() and not down.cancelled() and (error := down.exception()) is not None:
            raise error


async def _pod(api: Any, namespace: str, labels: str) -> str:
    """Name of the one pod that runs."""
    query = {"labelSelector": labels, "fieldSelector": "status.phase=Running"}
    base = f"/api/v1/namespaces/{namespace}"
    async with api.call_api("GET", version="", base=base, url="pods", params=query) as answer:
        items = answer.json().get("items", ())
    living = [each["metadata"]["name"] for each in items if not each["metadata"].get("deletionTimestamp")]
    if not living:
        raise NoPod(f"kubernetes: no pod {labels} runs in {namespace}")
    return str(living[-1])


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=4 * _PART)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _up(reader: asyncio.StreamReader, socket: Any) -> None:
    while data := await reader.read(_PART):
        await socket.send_bytes(bytes([_DATA]) + data)


async def _down(socket: Any) -> None:
    """What comes on a channel begins with the number of the port, two bytes, once."""
    from httpx_ws import WebSocketDisconnect, WebSocketNetworkError

    told: set[int] = set()
    with contextlib.suppress(WebSocketDisconnect, WebSocketNetworkError):
        while True:
            message = await socket.receive_bytes()
            channel, data = message[0], message[1:]
            if channel not in told:
                told.add(channel)
                data = data[2:]
            if channel == _ERROR and data:
                raise NoPod(f"kubernetes: {data.decode(errors='replace').strip()}")
            if channel == _DATA and data:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()


def main() -> int:
    """See the module's text."""
    context, namespace, labels, port = sys.argv[1:5]
    try:
        asyncio.run(forward(context, namespace, labels, int(port)))
    except (SkyrigError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
