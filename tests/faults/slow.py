"""Slow links: little bandwidth between nodes, and a relay with delay for what runs outside of them.

The kernels that tests run on often lack netem, so delay is made by a relay process of ours instead of by the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading

from faults.fault import Fault
from faults.node import FaultyNode, need

BURST = 128 * 1024
"""Bytes that pass at once: a token bucket must hold the largest packet, and nodes send packets of 65 000 bytes."""


class Slow(Fault):
    """All that `node` sends to others goes at `bits_per_s` at most."""

    def __init__(self, node: FaultyNode, bits_per_s: int) -> None:
        super().__init__()
        self.node = node
        self.bits_per_s = bits_per_s

    def _do(self) -> None:
        need("tc")
        rate = ("rate", f"{self.bits_per_s}bit", "burst", str(BURST), "latency", "2s")
        self.node.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", *rate, spaces="n")

    def _undo(self) -> None:
        self.node.run("tc", "qdisc", "del", "dev", "eth0", "root", spaces="n", check=False)


class Relay(Fault):
    """A TCP relay on a loopback port of its own (`port`) to (`host`, `to_port`): every byte comes `delay_s` later, at
    `bytes_per_s` at most (0: no bound). `stall` makes it carry nothing, both ways, until `resume`; `drop` breaks all
    connections. A client that is given `port` for the real one meets a slow, silent or breaking network."""

    def __init__(self, host: str, to_port: int, *, delay_s: float = 0.0, bytes_per_s: float = 0.0) -> None:
        super().__init__()
        self.delay_s = delay_s
        self.bytes_per_s = bytes_per_s
        self.port = 0
        self._to = (host, to_port)
        self._loop = asyncio.new_event_loop()
        self._carrying = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()

    def stall(self) -> None:
        """Carry nothing from now on; connections stay open, and new ones are accepted and hear nothing."""
        self._loop.call_soon_threadsafe(self._carrying.clear)

    def resume(self) -> None:
        """Carry again, what was held back first."""
        self._loop.call_soon_threadsafe(self._carrying.set)

    def drop(self) -> None:
        """Break every connection."""

        def abort() -> None:
            for writer in self._open:
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort)

    def _do(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10), "the relay did not start"

    def _undo(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop has ended already
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self, ready: threading.Event) -> None:
        async def listen() -> asyncio.Server:
            self._carrying.set()
            server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            return server

        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(listen())
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        for writer in self._open:
            writer.transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _accept(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        try:
            far, far_out = await asyncio.open_connection(*self._to)
        except OSError:
            near_out.transport.abort()
            return
        self._open |= {near_out, far_out}
        try:
            await asyncio.gather(self._carry(near, far_out), self._carry(far, near_out))
        except OSError:
            pass  # one side broke: the other one follows below
        finally:
            for writer in (near_out, far_out):
                self._open.discard(writer)
                writer.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Move bytes from one side to the other, each `delay_s` after it came."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)  # full: the sender is held back

        async def take() -> None:
            while data := await source.read(16 * 1024):
                await waiting.put((self._loop.time() + self.delay_s, data))
            await waiting.put((self._loop.time() + self.delay_s, b""))

        taking = asyncio.create_task(take())
        try:
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                await self._carrying.wait()
                if not data:
                    target.write_eof()
                    return
                target.write(data)
                await target.drain()
                if self.bytes_per_s:
                    await asyncio.sleep(len(data) / self.bytes_per_s)
        finally:
            taking.cancel()
