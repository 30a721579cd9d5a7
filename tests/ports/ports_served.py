"""What the tests' node serves on the port given: the first byte of a connection says what a client wants.

e: all that comes until the client ends, then its length. g: a greeting at once, the rest later. r: a few bytes, then a
reset. f: as many bytes as the client takes; how many were sent is written to the file `flooded` once it takes none.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from pathlib import Path

STALLED_S = 0.5
CHUNK = 1 << 16


async def written(writer: asyncio.StreamWriter) -> None:
    writer.write(b"x" * CHUNK)
    await writer.drain()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    wish = await reader.read(1)
    if wish == b"e":
        count = 0
        while data := await reader.read(65536):
            count += len(data)
            writer.write(data)
            await writer.drain()
        writer.write(b"|%d" % count)
    elif wish == b"g":
        writer.write(b"hello")
        await writer.drain()
        writer.write(b" and " + await reader.read(100))
    elif wish == b"f":
        sent = 0
        while not (await asyncio.wait([asyncio.ensure_future(written(writer))], timeout=STALLED_S))[1]:
            sent += CHUNK
        Path("flooded.new").write_text(str(sent))
        Path("flooded.new").rename("flooded")
        writer.transport.abort()
        return
    elif wish == b"r":
        writer.write(b"half of")
        await writer.drain()
        await reader.read(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return
    writer.close()


async def main() -> None:
    async with await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1]), backlog=512) as server:
        Path("serving").touch()
        await server.serve_forever()


asyncio.run(main())
