"""Commands in pods and connections to their ports, over the API server's WebSockets: no program is needed for them."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import urllib.parse
from collections.abc import Iterator

from lab_refused import Refused

_FINAL, _BINARY, _CLOSE, _PING, _PONG = 0x80, 0x2, 0x8, 0x9, 0xA
_MASKED = 0x80


class Stream:
    """A WebSocket whose messages begin with the number of a channel (v4.channel.k8s.io)."""

    def __init__(self, url: str, context: ssl.SSLContext, path: str) -> None:
        place = urllib.parse.urlsplit(url)
        plain = socket.create_connection((place.hostname or "", place.port or 443), 30)
        self._socket = context.wrap_socket(plain, server_hostname=place.hostname)
        self._read = self._socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        head = {
            "Host": place.netloc,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Protocol": "v4.channel.k8s.io",
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        status = int(self._read.readline().split()[1])
        length = 0
        while line := self._read.readline().strip():
            name, _, value = line.lower().partition(b":")
            length = int(value) if name == b"content-length" else length
        if status != 101:
            said = self._read.read(length).decode()
            self.close()
            raise Refused(status, {"message": said})

    def send(self, channel: int, data: bytes) -> None:
        """Send a message on a channel."""
        self._frame(_BINARY, bytes([channel]) + data)

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """Channel and bytes of what comes, until the other side is done."""
        while head := self._read.read(2):
            kind, size = head[0] & 0xF, head[1] & 0x7F
            if size == 126:
                size = int.from_bytes(self._read.read(2), "big")
            elif size == 127:
                size = int.from_bytes(self._read.read(8), "big")
            data = self._read.read(size)
            if kind == _CLOSE:
                return
            if kind == _PING:
                self._frame(_PONG, data)
            elif data:
                yield data[0], data[1:]

    def close(self) -> None:
        """Let go of the connection."""
        self._read.close()
        self._socket.close()

    def _frame(self, kind: int, data: bytes) -> None:
        size = len(data)
        short = bytes([_MASKED | size]) if size < 126 else bytes([_MASKED | 126]) + size.to_bytes(2, "big")
        self._socket.sendall(bytes([_FINAL | kind]) + short + bytes(4) + data)  # a mask of zeros changes nothing


def execute(url: str, context: ssl.SSLContext, pod: str, words: tuple[str, ...]) -> tuple[int, str]:
    """Exit code of a command in a pod's first container, and what it said; `pod` is the pod's path."""
    query = urllib.parse.urlencode([("stdout", "1"), ("stderr", "1"), *(("command", word) for word in words)])
    stream = Stream(url, context, f"{pod}/exec?{query}")
    said, status = b"", b"{}"
    try:
        for channel, data in stream.messages():
            said += data if channel in (1, 2) else b""
            status = data if channel == 3 else status
    finally:
        stream.close()
    told = json.loads(status)
    if told.get("status") == "Success":
        return 0, said.decode()
    causes = told.get("details", {}).get("causes", [])
    codes = [int(each["message"]) for each in causes if each.get("reason") == "ExitCode"]
    if not codes:
        raise Refused(500, told)
    return codes[0], said.decode()


def ask_port(url: str, context: ssl.SSLContext, pod: str, port: int, question: bytes) -> bytes:
    """What a port of a pod answers to these bytes, until it closes; `pod` is the pod's path."""
    stream = Stream(url, context, f"{pod}/portforward?ports={port}")
    answer, seen = b"", set()
    try:
        stream.send(0, question)
        for channel, data in stream.messages():
            if channel not in seen:
                seen.add(channel)  # each channel begins with the port's number
                data = data[2:]
            if channel == 1 and data:
                raise Refused(502, {"message": data.decode()})
            answer += data if channel == 0 else b""
    finally:
        stream.close()
    return answer
