"""What the page's server answers to which request: pure functions over the head of an HTTP request.

Other users of this machine reach loopback too. So all that is told lies below a path that nobody can guess, a page of
another origin cannot read it, and what a replica said about itself is never taken for markup: the page's policy allows
no script but its own, and no text to become an element.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import field, frozen

_HOSTS = ("127.0.0.1", "localhost")
"""Names by which a browser of this machine calls the server; a foreign name that leads here is a rebound one."""

_COMMON = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@frozen
class Answer:
    """An answer: status, type and bytes of its body, and headers of its own."""

    status: str
    kind: str = "text/plain; charset=utf-8"
    body: bytes = b""
    headers: dict[str, str] = field(factory=dict)

    def encode(self, *, head_only: bool = False) -> bytes:
        """The answer as HTTP/1.1 has it; `head_only` without the body."""
        lines = [f"HTTP/1.1 {self.status}", f"Content-Type: {self.kind}", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in (_COMMON | self.headers).items()]
        return "\r\n".join([*lines, "", ""]).encode() + (b"" if head_only else self.body)


@frozen
class Request:
    """What is asked for: `place` is what follows the secret part of the path ("" page, "data.json", "metrics"), None
    where that part is wrong; `after` holds the serials that the page has already, by service."""

    method: str
    place: str | None
    after: dict[str, int]


MISSING = Answer("404 Not Found", body=b"not here\n")
BAD = Answer("400 Bad Request", body=b"not a request that is understood here\n")
METHOD = Answer("405 Method Not Allowed", body=b"only GET is answered\n", headers={"Allow": "GET, HEAD"})


def read(head: bytes, token: str) -> Request | None:
    """The request whose head (up to its empty line) is `head`; None where it is none, or meant for another host."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("host", "").rpartition(":")[0] not in _HOSTS:
        return None
    try:
        asked = urlsplit(words[1])
    except ValueError:
        return None
    first, _, place = asked.path.lstrip("/").partition("/")
    known = hmac.compare_digest(first.encode("latin-1"), token.encode()) and asked.path != f"/{token}"
    return Request(words[0], place if known else None, _after(asked.query))


def _after(query: str) -> dict[str, int]:
    """Serials out of `NAME=SERIAL&...`; what is no number counts as none."""
    given = parse_qs(query, max_num_fields=1000) if query.count("&") < 1000 else {}
    return {name: int(values[-1]) for name, values in given.items() if re.fullmatch(r"[0-9]{1,15}", values[-1])}


def page(html: bytes) -> Answer:
    """The page, with a policy that lets its own script and style work and nothing else at all."""
    policy = [
        "default-src 'none'",
        "connect-src 'self'",
        f"script-src {_digest(html, b'script')}",
        f"style-src {_digest(html, b'style')}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    headers = {"Content-Security-Policy": "; ".join(policy)}
    return Answer("200 OK", "text/html; charset=utf-8", html, headers)


def data(document: dict[str, Any]) -> Answer:
    """The data of the page."""
    return Answer("200 OK", "application/json", json.dumps(document, allow_nan=False).encode())


def metrics(text: str) -> Answer:
    """Metrics in Prometheus' text format."""
    return Answer("200 OK", "text/plain; version=0.0.4; charset=utf-8", text.encode())


def failed(reason: str) -> Answer:
    """Something that this answer needs cannot be had at the moment."""
    return Answer("502 Bad Gateway", body=f"{reason}\n".encode())


def _digest(html: bytes, tag: bytes) -> str:
    """How a policy names what stands between the first <tag> and its end."""
    inside = html.split(b"<%s>" % tag, 1)[1].split(b"</%s>" % tag, 1)[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(inside).digest()).decode()}'"
