"""Price lists that are plain JSON on the web, asked without any SDK."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from skyrig.clouds.cloud import NotUsable
from skyrig.errors import BadInput, SkyrigError

LOOPBACK = "SKYRIG_PRICES_LOOPBACK"
"""Variable with the address of a server on this machine that stands for all price lists, each under the name of its
host; any other address is refused."""

_ANSWER_S = 60.0
_ATTEMPTS = 6
_LONGEST_PAUSE_S = 30.0
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_DENIED = (401, 403)


class _Busy(SkyrigError):
    """An answer that may be another one a little later; `pause` is what the server asks for, in seconds."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


def get(cloud: str, url: str, *, key: str = "", body: Mapping[str, Any] | None = None) -> Any:
    """The JSON at `url`, after some patience where it is busy; with `body` it is posted. `key` goes as a bearer token,
    to this host alone. NotUsable where it is not good enough, else SkyrigError."""
    import tenacity

    patient = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_Busy),
        stop=tenacity.stop_after_attempt(_ATTEMPTS),
        wait=_pause,
        reraise=True,
    )
    return patient(_asked, cloud, url, key, body)


def _asked(cloud: str, url: str, key: str, body: Mapping[str, Any] | None) -> Any:
    import http.client
    import urllib.error
    import urllib.request

    host = urlsplit(url).hostname
    data = None if body is None else json.dumps(body).encode()
    headers = {"Accept": "application/json", "User-Agent": "skyrig"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    headers |= {"Content-Type": "application/json"} if data else {}
    request = urllib.request.Request(there(url), data, headers)
    try:
        with opener().open(request, timeout=_ANSWER_S) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        told = f"{cloud}: {host}: HTTP {error.code}"
        if error.code in _BUSY:
            pause = error.headers.get("Retry-After", "")
            raise _Busy(told, float(pause) if pause.isdigit() else None) from None
        if error.code in _DENIED:
            raise NotUsable(told, hint="the key is not valid, or may not do that") from None
        raise SkyrigError(told) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Busy(f"{cloud}: {host} does not answer: {getattr(error, 'reason', None) or error}") from error
    except ValueError as error:
        raise SkyrigError(f"{cloud}: {host} answers something that is no JSON") from error


def opener(variable: str = LOOPBACK) -> Any:
    """What opens urls and follows nobody elsewhere; without a proxy where `variable` names a server of this machine."""
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        """No API moves, and a key goes to no other host."""

        def redirect_request(self, *_: Any) -> None:
            return None

    proxies: dict[str, str] | None = {} if os.environ.get(variable) else None
    return urllib.request.build_opener(Stay, urllib.request.ProxyHandler(proxies))


def there(url: str, variable: str = LOOPBACK) -> str:
    """Where `url` is asked: at the loopback server, where `variable` names one. BadInput where that is elsewhere."""
    given, parts = os.environ.get(variable, ""), urlsplit(url)
    if not given:
        return url
    try:
        inside = ipaddress.ip_address(urlsplit(given).hostname or "").is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise BadInput(f"{variable}={given}: an address of this machine is wanted, http://127.0.0.1:PORT")
    return f"{given.rstrip('/')}/{parts.hostname}{parts.path}{'?' + parts.query if parts.query else ''}"


def _pause(state: Any) -> float:
    """Seconds until the next attempt: what the server says, else more each time, and not the same for all."""
    import tenacity

    error = state.outcome.exception()
    if isinstance(error, _Busy) and error.pause is not None:
        return min(error.pause, _LONGEST_PAUSE_S)
    first = 0.05 if os.environ.get(LOOPBACK) else 1.0
    return float(tenacity.wait_random_exponential(multiplier=first, max=_LONGEST_PAUSE_S)(state))
