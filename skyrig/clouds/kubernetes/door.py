"""The API of one cluster, by one context of the kubeconfig: plain requests through kr8s, which knows all kinds of
credentials that kubeconfigs have."""

from __future__ import annotations

import asyncio
import json
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.kubernetes import kubeconfig
from skyrig.errors import SkyrigError

Object = Mapping[str, Any]

_WHO, _FORBIDDEN, _THERE_IS_NONE = 401, 403, 404
_TRIES = 4
_PAUSE_S = 0.5
_TIMEOUT_S = 30.0
_PAGE = "500"


class Forbidden(SkyrigError):
    """Whom the context stands for may not do that."""


class Door:
    """Requests to the API of the context called `name`, each with so many `tries` of `timeout_s` seconds. A context
    manager that closes its connections; each is used in one thread alone."""

    def __init__(self, name: str, tries: int = _TRIES, timeout_s: float = _TIMEOUT_S) -> None:
        self.context = kubeconfig.find(name)
        self._tries, self._timeout_s = tries, timeout_s
        self._loop = asyncio.new_event_loop()
        self._api: Any = None

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        session = getattr(self._api, "_session", None)
        if session is not None:
            self._loop.run_until_complete(session.aclose())
        self._loop.close()

    def call(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> dict[str, Any]:
        """The answer to one request; `path` is all of it: /version, or what begins with /api or /apis. Forbidden and
        NotUsable say why there is none; what is not there is an empty answer."""
        return self._loop.run_until_complete(self._asked(method, path, query or {}, body))

    def there(self, path: str) -> Object | None:
        """The object at `path`; None where there is none."""
        return self.call("GET", path) or None

    def listed(self, path: str, labels: str = "") -> Iterator[Object]:
        """All objects of a collection that have `labels`, page by page."""
        query = {"limit": _PAGE, **({"labelSelector": labels} if labels else {})}
        while True:
            found = self.call("GET", path, query)
            yield from found.get("items", ())
            more = found.get("metadata", {}).get("continue")
            if not more:
                return
            query = {**query, "continue": more}

    async def _asked(self, method: str, path: str, query: Mapping[str, str], body: Any) -> dict[str, Any]:
        """What goes wrong on the way is tried again, but what changes something only where that does no harm twice."""
        for left in reversed(range(self._tries)):
            try:
                return await self._once(method, path, query, body)
            except NotUsable:
                if not left:
                    raise
                await asyncio.sleep(_PAUSE_S)
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, query: Mapping[str, str], body: Any) -> dict[str, Any]:
        api = await self._opened()
        given = {"params": dict(query), **({"json": body} if body is not None else {})}
        base, _, last = path.rpartition("/")
        where = {"base": base, "url": last} if base else {"base": path}
        try:
            with _told(self.context.name, self.context.server):
                async with api.call_api(method, version="", **where, **given) as answer:
                    found: dict[str, Any] = answer.json()
                    return found
        except _NotThere:
            return {}
        except OSError as error:
            raise _silence(self.context.name, self.context.server, error) from error

    async def _opened(self) -> Any:
        if self._api is None:
            self._api = await opened(self.context.name, self._timeout_s)
        return self._api


async def opened(name: str, timeout_s: float = _TIMEOUT_S) -> Any:
    """kr8s' own API object for a context. NotUsable where its credentials cannot be had, or are not taken."""
    import kr8s.asyncio

    server = kubeconfig.find(name).server
    try:
        with warnings.catch_warnings(), _told(name, server):
            warnings.simplefilter("ignore")  # of servers newer than it knows; what we ask is in all of them
            api = await kr8s.asyncio.api(context=name)
    except _NotThere as error:
        raise NotUsable(f"kubernetes: {name} ({server}) is no API server: it has no /version") from error
    except (ValueError, KeyError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise NotUsable(f"kubernetes: {name}: no credentials: {error}", hint="does `kubectl get pods` work?") from error
    api.timeout = timeout_s
    return api


class _NotThere(Exception):
    """The API has nothing at a path."""


@contextmanager
def _told(name: str, server: str) -> Iterator[None]:
    """What goes wrong with a request to the `server` of a context, in our words. kr8s asks for the version before
    anything else, so that a wrong credential is heard of there."""
    import httpx
    from kr8s import APITimeoutError, ServerError

    try:
        yield
    except ServerError as error:
        code = error.response.status_code if error.response is not None else 0
        if code == _THERE_IS_NONE:
            raise _NotThere from error
        if code == _FORBIDDEN:
            raise Forbidden(f"kubernetes: {name}: {error}") from error
        hint = "does `kubectl get pods` work?" if code == _WHO else None
        raise NotUsable(f"kubernetes: {name} answers {code}: {error}", hint=hint) from error
    except json.JSONDecodeError as error:
        raise NotUsable(f"kubernetes: {name} ({server}) answers something that is no JSON") from error
    except (APITimeoutError, httpx.HTTPError) as error:
        raise _silence(name, server, error) from error


def _silence(name: str, server: str, error: Exception) -> NotUsable:
    return NotUsable(f"kubernetes: {name} ({server}) does not answer: {str(error) or type(error).__name__}")
