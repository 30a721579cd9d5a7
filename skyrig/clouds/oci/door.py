"""The one door to Oracle Cloud's APIs: where they are, signatures, pages, patience, and errors as ours.

Calls are signed here, over plain HTTP of the standard library: Oracle's own SDK takes half a gigabyte of disk.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import random
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from attrs import frozen

from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.oci import session
from skyrig.clouds.oci.signing import signed
from skyrig.errors import BadInput, SkyrigError

Described = dict[str, Any]
"""A thing as an API describes it."""

SERVICES = {
    "iaas": "https://iaas.{region}.{domain}/20160918",
    "identity": "https://identity.{region}.oci.{domain}/20160918",
    "limits": "https://limits.{region}.oci.{domain}/20190729",
    "objectstorage": "https://objectstorage.{region}.{domain}",
}
"""Address of each API."""

LOOPBACK = "SKYRIG_OCI_LOOPBACK"
"""Variable with the address of a server on this machine that stands for all of Oracle Cloud, each service under
SERVICE/REGION; any other address is refused."""

PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts where an API is busy and does not say how long."""
_LONGEST_PAUSE_S = 30.0
_ANSWER_S = 60.0
_BUSY = (429, 500, 502, 503, 504)


class NotThere(SkyrigError):
    """An API knows no such thing, or not for these credentials: Oracle Cloud does not tell these apart."""


@frozen
class _Answer:
    """An answer to a call: its status (0: there was none), what it says, and its headers."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        """What it says; None where that is nothing."""
        return json.loads(self.body) if self.body else None

    @property
    def error(self) -> tuple[str, str]:
        """Code and message of an error."""
        try:
            said = self.json()
            return str(said["code"]), str(said["message"])
        except (ValueError, KeyError, TypeError):
            return "", self.body.decode(errors="replace")[:200]


class Door:
    """The APIs in one region, for one compartment. Safe to use from several threads."""

    def __init__(self, account: str, region: str) -> None:
        if not account:
            raise NotUsable("oci: nothing names a compartment", hint=session.NAME_ONE)
        self.account, self.region = account, region
        session.caller()  # who cannot call at all is told so before anything is asked

    def at(self, region: str) -> Door:
        """The same in another region."""
        return self if region == self.region else Door(self.account, region)

    @cached_property
    def home(self) -> Door:
        """The same in the tenancy's home region, where identities are written."""
        return self.at(next((each["regionName"] for each in self.regions if each.get("isHomeRegion")), self.region))

    @cached_property
    def regions(self) -> list[Described]:
        """The regions that the tenancy may use."""
        found: list[Described] = self.call(
            "GET", f"/tenancies/{session.tenancy()}/regionSubscriptions", service="identity"
        )
        return found

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        service: str = "iaas",
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """The answer to one call. NotUsable where the credentials are not good enough, NotThere, else SkyrigError."""
        return self._answered(method, path, query, service, body).json()

    def listed(self, path: str, query: Mapping[str, Any] | None = None, *, service: str = "iaas") -> list[Described]:
        """All that a list has, of the compartment, page by page."""
        asked = {"compartmentId": self.account, "limit": "100", **(query or {})}
        found: list[Described] = []
        while True:
            answer = self._answered("GET", path, asked, service, None)
            found += answer.json() or []
            if not answer.headers.get("opc-next-page"):
                return found
            asked["page"] = answer.headers["opc-next-page"]

    def there(self, path: str, *, service: str = "iaas") -> Described | None:
        """One thing; None where there is none."""
        try:
            found: Described = self.call("GET", path, service=service)
        except NotThere:
            return None
        return found

    def _answered(
        self, method: str, path: str, query: Mapping[str, Any] | None, service: str, body: Mapping[str, Any] | None
    ) -> _Answer:
        """An answer, after some patience where the API is busy. Whatever we ask can be asked twice."""
        url = f"{_root(service, self.region)}{quote(path, safe='/')}{'?' + urlencode(query) if query else ''}"
        data = None if body is None else json.dumps(body).encode()
        if data is None and method in ("POST", "PUT"):
            data = b""
        for pause in (*PAUSES_S, None):
            answer = _sent(method, url, data)
            if pause is None or answer.status not in (0, *_BUSY):
                break
            time.sleep(_pause(answer, pause))
        if answer.status == 0 or answer.status >= 400:
            raise _refused(answer, f"{method} {path}")
        return answer


def _root(service: str, region: str) -> str:
    """Where a service of a region is."""
    given = os.environ.get(LOOPBACK, "")
    if not given:
        return SERVICES[service].format(region=region, domain=os.environ.get("OCI_DEFAULT_REALM") or "oraclecloud.com")
    try:
        inside = ipaddress.ip_address(urlsplit(given).hostname or "").is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise BadInput(f"{LOOPBACK}={given}: an address of this machine is wanted, http://127.0.0.1:PORT")
    return f"{given.rstrip('/')}/{service}/{region}"


def _sent(method: str, url: str, data: bytes | None) -> _Answer:
    """The answer to one attempt."""
    headers = signed(session.caller(), method, url, data, datetime.now(timezone.utc))
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with _opener().open(request, timeout=_ANSWER_S) as answer:
            return _Answer(answer.status, answer.read(), _small(answer.headers))
    except urllib.error.HTTPError as error:
        return _Answer(error.code, error.read(), _small(error.headers))
    except (OSError, http.client.HTTPException) as error:
        return _Answer(0, str(getattr(error, "reason", None) or error).encode(), {})


def _small(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _opener() -> urllib.request.OpenerDirector:
    proxies: dict[str, str] | None = {} if os.environ.get(LOOPBACK) else None
    return urllib.request.build_opener(urllib.request.ProxyHandler(proxies))


def _pause(answer: _Answer, otherwise: float) -> float:
    """Seconds to wait: what the API says, else our own, not the same for all."""
    said = answer.headers.get("retry-after", "")
    return min(float(said), _LONGEST_PAUSE_S) if said.isdigit() else otherwise * random.uniform(0.75, 1.25)


def _refused(answer: _Answer, what: str) -> SkyrigError:
    code, message = answer.error
    if answer.status == 0:
        return SkyrigError(f"oci: {what}: {message}")
    if answer.status == 401:
        return NotUsable(f"oci: the credentials are not valid: {message}", hint=f"renew them: {session.LOGIN}")
    told = f"oci: {what}: HTTP {answer.status}: {code}: {message}"
    if answer.status == 403:
        return NotUsable(told, hint="`invoke check oci` lists the rights")
    return NotThere(told) if answer.status == 404 else SkyrigError(told)
