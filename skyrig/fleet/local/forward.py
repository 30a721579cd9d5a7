"""Listening on the host for a node, whose address only processes in the stack's network can dial.

A socket stays in the network that it was made in, whoever has it. So one small process in there makes sockets for the
gate, which dials with them and carries the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from pathlib import Path

from skyrig.fleet.local import ports, streams
from skyrig.fleet.local.layout import NodeFolder

_DIAL_S = 5.0
_BACKLOG = 512
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 8}
"""A node that was killed says no farewell: after three minutes without a sign its connections count as broken."""


def make_sockets(channel: socket.socket) -> None:
    """In a process inside the network: send a new TCP socket for each byte that comes, until nobody is there."""
    while channel.recv(1):
        try:
            made = socket.socket()
        except OSError:  # no descriptor is left just now
            channel.send(b"!")
            continue
        with made:
            socket.send_fds(channel, [b"."], [made.fileno()])


class Inside:
    """The stack's network, as far as one can dial there; `channel` leads to the process of `make_sockets`."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._turn = asyncio.Lock()

    async def dial(self, address: str, port: int) -> streams.Stream:
        """A connection to `port` at `address`; OSError where nobody answers there."""
        made = await self._new_socket()
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for name, value in _KEEP_ALIVE.items():
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(made, (address, port)), _DIAL_S)
            return streams.Stream(*await asyncio.open_connection(sock=made))
        except asyncio.TimeoutError:
            made.close()
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
        except BaseException:
            made.close()
            raise

    async def _new_socket(self) -> socket.socket:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        async with self._turn:
            self._channel.send(b"?")
            loop.add_reader(self._channel, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(self._channel)
            _, descriptors, _, _ = socket.recv_fds(self._channel, 1, 1)
        if not descriptors:
            raise OSError(errno.EMFILE, "no socket is to be had in the stack's network")
        made = socket.socket(fileno=descriptors[0])
        made.setblocking(False)
        return made


class Forwarder:
    """The listeners of the stack whose nodes are in `folder`."""

    def __init__(self, folder: Path, inside: Inside) -> None:
        self._folder = folder
        self._inside = inside
        self._head = ""
        self._address = ""
        self._open: dict[int, asyncio.Server] = {}
        self._done = ""

    async def heed(self) -> None:
        """Open and close what was asked for last, and say so. Connections that there are live on."""
        wanted = ports.read_wanted(self._folder)
        if wanted is None or wanted.mark == self._done:
            return
        self._head, self._address, self._done = wanted.head, wanted.address, wanted.mark
        for port in [port for port in self._open if port not in wanted.ports]:
            self._open.pop(port).close()
        problem = ""
        for port, before in wanted.ports.items():
            if port not in self._open:
                try:
                    self._open[port] = await self._listening(port, before)
                except OSError as error:
                    problem = f"port {port} cannot be opened: {error.strerror}"
                    break
        ports.say(
            self._folder, ports.Open(wanted.mark, {port: _number(at) for port, at in self._open.items()}, problem)
        )

    async def _listening(self, port: int, before: int) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(port, streams.Stream(reader, writer))

        return await asyncio.start_server(serve, sock=_listener(before, port), backlog=_BACKLOG)

    async def _serve(self, port: int, client: streams.Stream) -> None:
        """Serve one client; where nobody does in the node, its connection ends at once."""
        try:
            if not NodeFolder(self._folder / self._head).alive():
                raise ConnectionRefusedError
            server = await self._inside.dial(self._address, port)
        except OSError:
            streams.break_off(client.writer)
            return
        await streams.join(client, server)


def _listener(*preferred: int) -> socket.socket:
    """A listener on the first of these numbers that is free and allowed, else on any."""
    for number in filter(None, preferred):
        with contextlib.suppress(PermissionError):
            try:
                return socket.create_server((ports.HOST, number), backlog=_BACKLOG)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
    return socket.create_server((ports.HOST, 0), backlog=_BACKLOG)


def _number(server: asyncio.Server) -> int:
    number: int = server.sockets[0].getsockname()[1]
    return number
