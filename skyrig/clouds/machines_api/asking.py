"""HTTP APIs with JSON and a bearer token, asked with patience.

What only looks, or takes away, is asked again where an answer is lost. What makes something is not: `Unclear` says that
nobody knows whether it was made, and whoever asked looks. An API that says it is asked too much (429) has done nothing,
and is asked again after as long as it says.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from attrs import field, frozen

from skyrig.catalog import facts
from skyrig.clouds import web
from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.machines_api import pace
from skyrig.errors import SkyrigError

LOOPBACK = "SKYRIG_MACHINES_LOOPBACK"
"""Variable with the address of a server on this machine that stands for all these APIs, each under the name of its
host; any other address is refused."""

HASTE = 50.0
"""How much less patience a server on this machine gets: no pause is as long there."""

_ANSWER_S = 60.0
_ATTEMPTS = 6
_LONGEST_PAUSE_S = 60.0
_TOO_MUCH = (425, 429)
_LOST = 408
_NEVER = 501
_WORDS = ("code", "message", "detail", "title", "suggestion")


class ApiError(SkyrigError):
    """An API has refused; `status` is its HTTP status."""

    def __init__(self, message: str, status: int = 0, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class NotThere(ApiError):
    """There is no such thing."""


class Unclear(ApiError):
    """No answer, or one that says nothing: it may be done or not."""


class _TooMuch(ApiError):
    """Not done: asked too often. `pause` is what the server asks for, in seconds."""

    pause: float | None = None


class _NotSent(ApiError):
    """Not done: nobody took the question."""


def haste(seconds: float) -> float:
    """A pause as it is now: shorter where a server on this machine is asked."""
    return seconds / HASTE if os.environ.get(LOOPBACK) else seconds


@frozen
class Api:
    """One cloud's API at `base`, an url, opened by `key`; `headers` go with each call."""

    cloud: str
    base: str
    key: str = field(repr=False)
    headers: Mapping[str, str] = field(factory=dict)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """What is at `path`. NotThere, NotUsable with a key that is not valid, or ApiError. An empty answer says
        nothing, and never that nothing is there."""
        found = self._patient((_TooMuch, _NotSent, Unclear), "GET", path + (f"?{urlencode(query)}" if query else ""))
        if found is None:
            raise Unclear(f"{self.cloud}: the answer at {path} is empty")
        return found

    def delete(self, path: str) -> None:
        """Take away what is at `path`; NotThere where it is gone. Asked again where the answer is lost."""
        self._patient((_TooMuch, _NotSent, Unclear), "DELETE", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, kind: str = "", again: bool = False) -> Any:
        """The answer to `body`. `again`: doing it twice does no harm, so it is asked again where the answer is lost,
        which else is Unclear. `kind` is what the call counts as where some are bounded (data/CLOUD/pace.json)."""
        retried = (_TooMuch, _NotSent, Unclear) if again else (_TooMuch, _NotSent)
        return self._patient(retried, "POST", path, body or {}, kind)

    def _patient(
        self,
        retried: tuple[type[ApiError], ...],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        kind: str = "",
    ) -> Any:
        import tenacity

        patient = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(retried),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_pause,
            reraise=True,
        )
        return patient(self._asked, method, path, body, kind)

    def _asked(self, method: str, path: str, body: Mapping[str, Any] | None, kind: str) -> Any:
        import http.client
        import urllib.error
        import urllib.request

        self._in_turn(kind)
        url, host = self.base + path, urlsplit(self.base).hostname
        data = None if body is None else json.dumps(body).encode()
        sent = {"Accept": "application/json", "User-Agent": "skyrig", "Authorization": f"Bearer {self.key}"}
        sent |= {**self.headers, **({"Content-Type": "application/json"} if data is not None else {})}
        request = urllib.request.Request(web.there(url, LOOPBACK), data, sent, method=method)
        try:
            with web.opener(LOOPBACK).open(request, timeout=_ANSWER_S) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise refusal(self.cloud, error.code, error.read(), error.headers.get("Retry-After", "")) from None
        except urllib.error.URLError as error:
            refused = isinstance(error.reason, ConnectionRefusedError)
            kind_ = _NotSent if refused else Unclear
            raise kind_(f"{self.cloud}: {host} does not answer: {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unclear(f"{self.cloud}: {host} does not answer: {error}") from error
        try:
            return json.loads(text) if text.strip() else None
        except ValueError as error:
            raise Unclear(f"{self.cloud}: {host} answers something that is no JSON") from error

    def _in_turn(self, kind: str) -> None:
        """Wait until a call is due, of all that go out from this machine."""
        said = facts.of(self.cloud, "pace")
        if every := said.get("request_s", 0.0):
            pace.wait(self.cloud, haste(float(every)))
        if kind and (every := said.get("calls", {}).get(kind, 0.0)):
            pace.wait(f"{self.cloud}-{kind}", haste(float(every)))


def refusal(cloud: str, status: int, body: bytes, retry_after: str = "") -> SkyrigError:
    """The error for an answer that is none, in one line with the API's own words."""
    told = f"{cloud}: HTTP {status}{said(body)}"
    if status == 401:
        return NotUsable(told, hint="the API key is not valid")
    if status == 404:
        return NotThere(told, status)
    if status in _TOO_MUCH:
        error = _TooMuch(told, status)
        error.pause = _seconds(retry_after)
        return error
    if status == _LOST or (status >= 500 and status != _NEVER):  # 520 to 530 are those of a proxy before the API
        return Unclear(told, status)
    return ApiError(told, status)


def within(cloud: str, answer: Any, *way: str | int) -> Any:
    """What an answer has at a place: keys of mappings, and numbers in lists. Unclear where it is not there."""
    for step in way:
        try:
            answer = answer[step]
        except (KeyError, IndexError, TypeError) as error:
            raise Unclear(f"{cloud}: an answer without {'.'.join(map(str, way))}") from error
    return answer


def said(body: bytes) -> str:
    """What the body of a refusal says, as the end of a line: its code, message and what it advises; "" where it says
    nothing."""
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    inner = found.get("error", found) if isinstance(found, dict) else found
    if isinstance(inner, str):
        return f": {inner}"
    if not isinstance(inner, dict):
        return ""
    words = [str(inner[key]) for key in _WORDS if inner.get(key)]
    words += [str(each) for each in inner.get("errors") or ()]
    return f": {' '.join(' '.join(dict.fromkeys(words)).split())[:500]}" if words else ""


def _seconds(text: str) -> float | None:
    """What Retry-After says: seconds, or a date; None where it is neither."""
    from email.utils import parsedate_to_datetime

    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _pause(state: Any) -> float:
    """Seconds until the next attempt: what the server says, else more each time, and not the same for all."""
    import tenacity

    error = state.outcome.exception()
    if isinstance(error, _TooMuch) and error.pause is not None:
        return haste(min(error.pause, _LONGEST_PAUSE_S))
    return float(tenacity.wait_random_exponential(multiplier=haste(2.0), max=haste(_LONGEST_PAUSE_S))(state))
