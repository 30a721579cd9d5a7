"""Ports that a `run` text plainly serves on, for a task that names no `ports`. Pure functions.

Only servers that are known here count, on a port that stands in the text as a number, and that others can reach: one
that listens on loopback alone wants no open port.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from attrs import frozen

from skyrig.launch import commands


@frozen
class Served:
    """A port, and one line for the user that says where it was seen."""

    port: int
    note: str


@frozen
class _Server:
    """`words`: how a call of it begins, `-m MODULE` as MODULE. `ports`, `hosts`: its options for them, "" where the
    first word without an option is the port. `private`: it listens on loopback where it is given no host."""

    words: tuple[str, ...]
    ports: tuple[str, ...] = ("--port",)
    hosts: tuple[str, ...] = ("--host",)
    private: bool = False


_SERVERS = (
    _Server(("vllm", "serve")),
    _Server(("vllm.entrypoints.openai.api_server",)),
    _Server(("vllm.entrypoints.api_server",)),
    _Server(("sglang.launch_server",), private=True),
    _Server(("uvicorn",), private=True),
    _Server(("hypercorn",), ("-b", "--bind"), ("-b", "--bind"), private=True),
    _Server(("gunicorn",), ("-b", "--bind"), ("-b", "--bind"), private=True),
    _Server(("fastapi", "run")),
    _Server(("flask", "run"), ("-p", "--port"), ("-h", "--host"), private=True),
    _Server(("http.server",), ("",), ("-b", "--bind")),
    _Server(("streamlit", "run"), ("--server.port",), ("--server.address",)),
    _Server(("text-generation-launcher",), ("-p", "--port"), ("--hostname",)),
    _Server(("tensorboard",), ("--port",), ("--host", "--bind_all"), private=True),
    _Server(("jupyter",), ("--port",), ("--ip",), private=True),
    _Server(("jupyter-lab",), ("--port",), ("--ip",), private=True),
    _Server(("mlflow",), ("-p", "--port"), ("-h", "--host"), private=True),
    _Server(("llama-server",), private=True),
)
_LOOPBACK = re.compile(r"(?:127\.|localhost\b|\[?::1\b)")


def ports(text: str) -> tuple[Served, ...]:
    """What `text` serves on, in the order in which it stands there, each port once."""
    found: dict[int, Served] = {}
    for command in commands.read(text):
        for server in _SERVERS:
            arguments = _arguments(command.words, server)
            port = _port(server, arguments) if arguments is not None else None
            if port is not None:
                name = " ".join(server.words)
                found.setdefault(port, Served(port, f"`run` serves on port {port} ({name}), and no ports are named"))
    return tuple(found.values())


def _arguments(words: Sequence[str], server: _Server) -> Sequence[str] | None:
    """The words behind a call of `server`; None where this is none."""
    if words[0] in ("echo", "printf", "pip", "pip3", "curl"):
        return None
    for at, word in enumerate(words):
        module = at > 0 and words[at - 1] == "-m"
        name = word if module or "." in server.words[0] else word.rpartition("/")[2]
        if name == server.words[0] and (module or "." not in name):
            end = at + len(server.words)
            return words[end:] if tuple(words[at + 1 : end]) == server.words[1:] else None
    return None


def _port(server: _Server, arguments: Sequence[str]) -> int | None:
    """The port that others can reach, if it is plain."""
    host = _value(arguments, server.hosts)
    if _LOOPBACK.match(host or "") or (server.private and host is None):
        return None
    text = next((word for word in arguments if word.isdigit()), "") if server.ports == ("",) else None
    if text is None:
        text = (_value(arguments, server.ports) or "").rpartition(":")[2]
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 65536 else None


def _value(arguments: Sequence[str], options: Sequence[str]) -> str | None:
    """What stands behind the first of `options`, also as OPTION=VALUE; "" where nothing does."""
    for word, after in zip_longest(arguments, arguments[1:], fillvalue=""):
        name, equals, value = word.partition("=")
        if name in options:
            return value if equals else after
    return None
