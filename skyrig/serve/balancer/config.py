"""From a frontage to HAProxy's files: pure.

The configuration names certificate and keys by files whose names hold a digest of what is in them. So the files of two
configurations lie side by side, and the one text says all. Its description (`Config.stamp`, which HAProxy tells when it
is asked) is a digest of everything but the servers: those are changed in the process that runs.
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import cache
from pathlib import Path

import jinja2
from attrs import field, frozen

from skyrig import places
from skyrig.serve.balancer.frontage import Frontage
from skyrig.serve.spec import ROUND_ROBIN, Entrance

BACKEND = "replicas"
"""HAProxy's name for the servers of a service."""

HOLD = "hold"
"""A server of ours at which nothing listens, used while no other is ready: requests try it over and over and go to the
first server that comes, so they wait _HOLD_TRIES times CONNECT_MS before they are answered with 503."""

CONNECT_MS = 500
_HOLD_TRIES = 6

SERVER_OPTIONS = (
    "check inter 500ms fastinter 200ms downinter 500ms fall 2 rise 1 observe layer4 error-limit 1 on-error mark-down "
    "pool-purge-delay 1s"
)
"""How a server is looked at: one that does not take connections is out at the first request that it refuses, and back
with the first connection that it takes. Connections that are idle are soon closed by us: were they closed by the
server, as they are after some seconds, a request could be on its way to it at that moment."""

LOOK_BYTES = 8192
"""Most of a body without Content-Length that is read to learn its size; HAProxy holds 15 KiB of a request at most."""

_SECRET = 0o600


@frozen
class Means:
    """What HAProxy has here: threads, connections at a time, and whether it was built with metrics for Prometheus and
    takes servers while it runs (`dynamic`)."""

    threads: int = 2
    maxconn: int = 1000
    prometheus: bool = True
    dynamic: bool = True


@frozen
class Places:
    """Where files lie: those of the configuration in `folder`, sockets in `sockets`."""

    folder: Path
    sockets: Path

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.folder / "haproxy.cfg"


@frozen
class Config:
    """`text` of the configuration, `files` beside it by name (all secret), and `stamp`, its description."""

    text: str = field(repr=False)
    files: dict[str, str] = field(repr=False)
    stamp: str


@frozen
class _Rate:
    """`most` requests from one address in `period_s` seconds."""

    most: int
    period_s: int
    retry_s: int


def render(frontage: Frontage, where: Places, means: Means) -> Config:
    """The files that make HAProxy serve `frontage`. Addresses of servers must be numbers."""
    files = _files(frontage)
    fixed = _text(frontage, where, means, files, servers=not means.dynamic)
    stamp = f"skyrig-{_digest(fixed)}"
    return Config(_text(frontage, where, means, files, servers=True, stamp=stamp), files, stamp)


def _text(
    frontage: Frontage, where: Places, means: Means, files: dict[str, str], *, servers: bool, stamp: str = ""
) -> str:
    entrance = frontage.entrance
    named = {name.partition("-")[0]: str(where.folder / name) for name in files}
    return _template().render(
        balance="roundrobin" if entrance.policy == ROUND_ROBIN else "leastconn",
        challenge=frontage.challenge,
        connect_ms=CONNECT_MS,
        hold=HOLD,
        http_port=frontage.http_port,
        keys=named.get("keys", ""),
        look_bytes=LOOK_BYTES,
        max_body=entrance.max_body,
        means=means,
        open=frontage.is_open,
        openai=entrance.openai,
        pause_ms=max(1, round(1000 * entrance.stream_timeout_s)),
        pem=named.get("cert", ""),
        port=entrance.port,
        rate=_rate(entrance),
        retries=_HOLD_TRIES,
        server_options=SERVER_OPTIONS,
        servers=frontage.servers if servers else (),
        sockets=str(where.sockets),
        stamp=stamp,
        tls=frontage.tls,
    )


def _files(frontage: Frontage) -> dict[str, str]:
    files = {}
    if frontage.tls and frontage.pem:
        files[f"cert-{_digest(frontage.pem)}.pem"] = frontage.pem
    if frontage.entrance.keys:
        text = "".join(f"{key}\n" for key in sorted(frontage.entrance.keys))
        files[f"keys-{_digest(text)}.lst"] = text
    return files


def _rate(entrance: Entrance) -> _Rate | None:
    """At least 10 requests are let in at once, however low the rate."""
    if entrance.rate <= 0:
        return None
    period = max(1, math.ceil(10 / entrance.rate))
    return _Rate(math.ceil(entrance.rate * period), period, max(1, math.ceil(1 / entrance.rate)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _quoted(text: str) -> str:
    """`text` as one word of HAProxy's configuration; plain where nothing in it means anything there."""
    return text if re.fullmatch(r"[A-Za-z0-9@/._-]+", text) else "'" + text.replace("'", "'\\''") + "'"


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(places.shipped() / "templates" / "serve")
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["quoted"] = _quoted
    return environment.get_template("haproxy.cfg.j2")
