"""What the balancer shall be, as one value: the endpoint and the servers behind it."""

from __future__ import annotations

import re
from enum import Enum

from attrs import field, frozen

from skyrig.errors import BadInput
from skyrig.serve.spec import HTTP_PORT, Entrance, Tls

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HIGHEST_PORT = 65535


class ServerState(str, Enum):
    """What a server gets: READY its share of the requests; DRAIN no new one, while those that run there finish."""

    __str__ = str.__str__

    READY = "READY"
    DRAIN = "DRAIN"


@frozen
class Server:
    """One server behind the endpoint: `name` as steward and metrics call it, `address` HOST:PORT inside the cluster (an
    IPv6 host in brackets). BadInput where HAProxy could not be told of it."""

    name: str = field()
    address: str = field()
    state: ServerState = ServerState.READY

    @name.validator
    def _is_word(self, _: object, value: str) -> None:
        if not _NAME.fullmatch(value):
            raise BadInput(f"a server cannot be called {value!r}", hint="64 letters, digits, '.', '_' and '-' at most")

    @address.validator
    def _is_address(self, _: object, value: str) -> None:
        _check_address(value)


@frozen
class Frontage:
    """The endpoint (`entrance`), the `servers` behind it, and `pem`: certificate chain and key as one text, for TLS.
    With TLS and no `pem` yet, the endpoint's port is closed.

    `challenge`: HOST:PORT of a responder to ACME's http-01, "": none; where it is set, `http_port` is open as well:
    paths below /.well-known/acme-challenge/ go there, everything else is redirected to the endpoint, or answered with
    503 where there is no `pem` yet.
    """

    entrance: Entrance = field()
    servers: tuple[Server, ...] = field()
    pem: str = field(default="", repr=False)
    challenge: str = field(default="")
    http_port: int = field(default=HTTP_PORT)

    @entrance.validator
    def _fits(self, _: object, value: Entrance) -> None:
        if not 0 < value.port <= _HIGHEST_PORT:
            raise BadInput(f"{value.port} is no port", hint="1 to 65535")
        if wrong := [key for key in value.keys if not _DIGEST.fullmatch(key)]:
            raise BadInput(f"{len(wrong)} of the API keys' digests are not SHA-256 in hexadecimal digits")

    @servers.validator
    def _differ(self, _: object, value: tuple[Server, ...]) -> None:
        if len({server.name for server in value}) != len(value):
            raise BadInput("two servers have the same name")

    @pem.validator
    def _is_pem(self, _: object, value: str) -> None:
        if value and not ("-----BEGIN CERTIFICATE-----" in value and "PRIVATE KEY-----" in value):
            raise BadInput("the certificate is not PEM text with a chain and a private key")

    @challenge.validator
    def _is_responder(self, _: object, value: str) -> None:
        if value:
            _check_address(value)

    @property
    def tls(self) -> bool:
        """Whether the endpoint speaks TLS."""
        return self.entrance.tls is not Tls.NONE

    @property
    def is_open(self) -> bool:
        """Whether the endpoint's port is: with TLS only once there is a certificate."""
        return not self.tls or bool(self.pem)


def _check_address(value: str) -> None:
    found = _ADDRESS.fullmatch(value)
    if found is None or not 0 < int(found[2]) <= _HIGHEST_PORT:
        raise BadInput(f"{value!r} is no address of a server", hint="HOST:PORT")
