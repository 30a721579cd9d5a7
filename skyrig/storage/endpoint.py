"""Where a server on this machine is for the nodes of the local cloud, and where it is for this machine itself."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

HOST = "host.skyrig.internal"
"""What nodes with a network of their own call the machine that they are on: the way out of that network knows it."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def for_nodes(endpoint: str, isolation: str) -> str:
    """`endpoint` as nodes of this isolation reach it: this machine's loopback is another machine's to some of them."""
    return _with_host(endpoint, HOST) if isolation == "namespaces" and _host(endpoint) in _LOOPBACK else endpoint


def for_here(endpoint: str) -> str:
    """`endpoint` as this machine reaches it."""
    return _with_host(endpoint, "127.0.0.1") if _host(endpoint) == HOST else endpoint


def _host(endpoint: str) -> str:
    return urlsplit(endpoint).hostname or ""


def _with_host(endpoint: str, host: str) -> str:
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(netloc=host if parts.port is None else f"{host}:{parts.port}"))
