"""A backend for the bench of services, as a program: `python -m bench.backend MILLISECONDS AT_ONCE`.

It answers each request after that time, so many at once (0: any number), and prints its port. It reads no more of HTTP
than a bench's client says.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import ClassVar

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"answer":"yes"}'


class Answers(asyncio.Protocol):
    """One connection. `waiting` are the requests of all that are not begun, `free` how many may begin."""

    delay_s = 0.0
    free = 1 << 30
    waiting: ClassVar[deque[Answers]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._to = transport
        self._read = b""

    def data_received(self, data: bytes) -> None:
        """Take what may be a request, or the end of one."""
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            self._last = b"connection: close" in head.lower()
            Answers.waiting.append(self)
            self.begin()

    @classmethod
    def begin(cls) -> None:
        """Begin as many requests as may be."""
        while cls.waiting and cls.free:
            cls.free -= 1
            asyncio.get_running_loop().call_later(cls.delay_s, cls.waiting.popleft().end)

    def end(self) -> None:
        """Answer the request that was begun."""
        Answers.free += 1
        if not self._to.is_closing():
            self._to.write(ANSWER)
            if self._last:
                self._to.close()
        self.begin()


async def main(milliseconds: str, at_once: str) -> None:
    """Serve until killed."""
    Answers.delay_s = float(milliseconds) / 1000
    Answers.free = int(at_once) or Answers.free
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
