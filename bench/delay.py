"""A TCP proxy that adds to the round trip: `python -m bench.delay PORT MILLISECONDS` prints its own port, and serves.

Half of the time is added each way. What is under way is kept back, not slowed down: the rate is that of the machine.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

_BLOCK = 1 << 20


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Everything that `reader` gets, each part so much later."""
    clock = asyncio.get_running_loop().time
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

    async def take() -> None:
        while block := await reader.read(_BLOCK):
            await waiting.put((clock() + delay_s, block))
        await waiting.put((clock() + delay_s, b""))

    taking = asyncio.create_task(take())
    with suppress(OSError):
        while True:
            due, block = await waiting.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not block:
                writer.write_eof()
                break
            writer.write(block)
            await writer.drain()
    taking.cancel()


async def _serve(port: int, delay_s: float) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner, outer = await asyncio.open_connection("127.0.0.1", port, limit=_BLOCK)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_carry(reader, outer, delay_s), _carry(inner, writer, delay_s), return_exceptions=True)
        outer.close()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=_BLOCK)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 2000))
