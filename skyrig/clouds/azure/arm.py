"""Azure Resource Manager over HTTPS, with requests: the one door to Azure's API."""

from __future__ import annotations

import functools
import ipaddress
import os
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from skyrig.clouds.azure import credentials
from skyrig.clouds.cloud import NotUsable
from skyrig.errors import SkyrigError

COMPUTE = "2024-11-01"
"""Version of the compute API; the one of pulumi-azure-native 3's VirtualMachine."""
NETWORK = "2024-05-01"
"""Version of the network API, likewise."""
RESOURCES = "2024-03-01"
"""Version of the API of resource groups and what is in them, likewise."""

LOOPBACK = "SKYRIG_AZURE_LOOPBACK"
"""Variable with the address of a server on this machine that stands for Resource Manager, asked without a token; any
other address is refused."""

MOST_AT_ONCE = 16
"""How many questions are asked at once."""

_LIMIT_S = 1800.0
_PAUSE_S = 5.0
_BUSY = frozenset({"AnotherOperationInProgress", "OperationPreempted", "RetryableError", "Conflict"})
_DENIED = frozenset(
    {
        "AuthorizationFailed",
        "ExpiredAuthenticationToken",
        "InvalidAuthenticationToken",
        "InvalidAuthenticationTokenTenant",
        "InvalidSubscriptionId",
        "LinkedAuthorizationFailed",
        "SubscriptionNotFound",
    }
)


class ArmError(SkyrigError):
    """Azure Resource Manager refused, or did not answer in time. `code` is Azure's own ("": none)."""

    def __init__(self, message: str, *, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class ArmDenied(ArmError, NotUsable):
    """It does not know who asks, or who asks may not."""


class Arm:
    """Resource Manager at one address; safe to use from several threads. `token` gives the bearer token of a request
    ("" for none), `limit_s` bounds each operation, `pause_s` is the pause between two questions where the server names
    none."""

    def __init__(
        self, address: str, token: Callable[[], str], *, limit_s: float = _LIMIT_S, pause_s: float = _PAUSE_S
    ) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util.retry import Retry

        # All calls may be made twice, so what failed on the way is asked again; Retry-After is respected.
        again = Retry(
            total=8,
            connect=3,
            backoff_factor=pause_s / 5,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,
        )
        again.raise_on_status = False
        self._session = requests.Session()
        self._session.trust_env = not address.startswith("http://")  # no proxy to loopback
        self._session.mount(address, HTTPAdapter(max_retries=again, pool_maxsize=MOST_AT_ONCE))
        self._address, self.token, self._limit_s, self._pause_s = address.rstrip("/"), token, limit_s, pause_s

    def get(self, path: str, version: str, **query: str) -> dict[str, Any] | None:
        """The thing at `path` of the API in its `version`; None where it is not there.

        A subscription that is not there is an error: who asks as somebody else shall not think that all is gone.
        """
        answer = self._ask("GET", self._url(path), {"api-version": version, **query})
        if _is_gone(answer):
            return None
        if answer.status_code != 200:
            raise _error(name(path), answer)
        return _body(answer)

    def listed(self, path: str, version: str, **query: str) -> list[dict[str, Any]]:
        """All of the list at `path`, page by page; none where what holds them is not there."""
        answer = self._ask("GET", self._url(path), {"api-version": version, **query})
        found: list[dict[str, Any]] = []
        while not _is_gone(answer):
            if answer.status_code != 200:
                raise _error(f"list of {name(path)}", answer)
            page = _body(answer)
            found += page.get("value", [])
            if not page.get("nextLink"):
                return found
            answer = self._ask("GET", self._ours(str(page["nextLink"]), f"list of {name(path)}: its next page"))
        return found

    def delete(self, path: str, version: str) -> None:
        """Delete what is at `path`, and wait until it is gone; ArmError where it stays."""
        self._operate("DELETE", path, version, f"delete {name(path)}")

    def power(self, machine: str) -> str | None:
        """State of the machine with this resource id as Azure calls it: running, deallocated (nothing but disks is
        paid for), stopped (shut down from inside, and paid for), starting, ... None where it is gone."""
        seen = self.get(f"{machine}/instanceView", COMPUTE)
        return None if seen is None else power_of(seen)

    def act(self, machine: str, verb: str) -> None:
        """`start` or `deallocate` a machine, and wait until that is done; ArmError where it fails."""
        self._operate("POST", f"{machine}/{verb}", COMPUTE, f"{verb} {name(machine)}")

    def _operate(self, method: str, path: str, version: str, what: str) -> None:
        until, query = time.monotonic() + self._limit_s, {"api-version": version}
        answer = self._ask(method, self._url(path), query)
        while answer.status_code == 409 and _code(answer) in _BUSY:
            self._pause(answer, until, f"azure: {what}: {_said(answer)}")
            answer = self._ask(method, self._url(path), query)
        if method == "DELETE" and _is_gone(answer):
            return
        if answer.status_code == 202:
            self._wait(answer, until, what)
        elif answer.status_code not in (200, 204):
            raise _error(what, answer)

    def _wait(self, accepted: Any, until: float, what: str) -> None:
        """Follow an operation that was accepted to its end."""
        where = accepted.headers.get("Azure-AsyncOperation") or accepted.headers.get("Location") or ""
        where, answer = self._ours(where, f"{what}: accepted, and what becomes of it"), accepted
        while True:
            self._pause(answer, until, f"azure: {what}: not done in {self._limit_s:.0f} s")
            answer = self._ask("GET", where)
            if answer.status_code not in (200, 202, 204):
                raise _error(what, answer)
            status = _body(answer).get("status", "Succeeded" if answer.status_code in (200, 204) else "InProgress")
            if status == "Succeeded":
                return
            if status in ("Failed", "Canceled"):
                raise _error(what, answer)

    def _pause(self, answer: Any, until: float, late: str) -> None:
        """The pause that an answer asks for; ArmError `late` where it would be over only after `until`."""
        asked = answer.headers.get("Retry-After", "")
        pause = min(float(asked), 60.0) if asked.isdigit() else self._pause_s
        if time.monotonic() + pause > until:
            raise ArmError(late)
        time.sleep(pause)

    def _url(self, path: str) -> str:
        return f"{self._address}{path}"

    def _ours(self, url: str, what: str) -> str:
        """An address that an answer names; the token goes nowhere but to this server."""
        if urlsplit(url).netloc != urlsplit(self._address).netloc:
            raise ArmError(f"azure: {what} is not said to be at {urlsplit(self._address).netloc}")
        return url

    def _ask(self, method: str, url: str, query: Mapping[str, str] | None = None) -> Any:
        import requests

        token = self.token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            return self._session.request(method, url, params=query, headers=headers, timeout=60, allow_redirects=False)
        except requests.RequestException as error:
            raise ArmError(f"azure: {urlsplit(url).netloc} does not answer: {type(error).__name__}") from error


def of_environment() -> Arm:
    """Resource Manager as this process's environment has it, the same one for the same environment."""
    said = tuple(sorted((key, value) for key, value in os.environ.items() if key.startswith(("ARM_", "AZURE_"))))
    return _made(os.environ.get(LOOPBACK, ""), said)


def missing() -> str:
    """What is missing here for asking Azure, by files and variables; "" where nothing is."""
    return credentials.no_sdk() or ("" if os.environ.get(LOOPBACK) else credentials.nobody())


def usable(owner: str = "") -> tuple[Arm, str]:
    """Resource Manager, and the id of the subscription to ask it about: `owner`, else the one that is named beside the
    credentials. NotUsable where something is missing, or nothing names a subscription."""
    if reason := missing():
        raise NotUsable(f"azure: {reason}")
    subscription = owner.lower() or credentials.subscription()
    if not subscription:
        hint = "`az account set -s NAME`, or ARM_SUBSCRIPTION_ID"
        raise NotUsable("azure: nothing says which subscription is asked about", hint=hint)
    return of_environment(), subscription


def power_of(view: Mapping[str, Any]) -> str:
    """The state of a machine's power in its instance view, in Azure's words; unknown where it has none yet."""
    states = [str(status.get("code", "")) for status in view.get("statuses", [])]
    return next((state.partition("/")[2] for state in states if state.startswith("PowerState/")), "unknown")


def name(path: str) -> str:
    """The last name in a path."""
    return path.rpartition("/")[2]


@functools.cache
def _made(loopback: str, environment: tuple[tuple[str, str], ...]) -> Arm:
    if not loopback:
        said = dict(environment)
        return Arm(credentials.audience(said), credentials.tokens({**os.environ, **said}))
    host = urlsplit(loopback).hostname or ""
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise ArmError(f"{LOOPBACK}={loopback}: an address of this machine is wanted, http://127.0.0.1:PORT")
    return Arm(loopback, lambda: "", pause_s=0.1)


def _is_gone(answer: Any) -> bool:
    """Whether a thing is not there, or what holds it; an unknown subscription, tenant or type is something else."""
    code = _code(answer)
    gone = code.endswith(("NotFound", "DoesNotExist")) and not code.startswith(("Subscription", "Tenant"))
    return answer.status_code == 404 and gone


def _error(what: str, answer: Any) -> ArmError:
    code = _code(answer)
    if answer.status_code in (401, 403) or code in _DENIED:
        return ArmDenied(f"azure: {what}: {_said(answer)}", hint=_DENIED_HINTS.get(code, _ASK), code=code)
    return ArmError(f"azure: {what}: {_said(answer)}", hint=_HINTS.get(code), code=code)


def _body(answer: Any) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _code(answer: Any) -> str:
    return str((_body(answer).get("error") or {}).get("code", ""))


def _said(answer: Any) -> str:
    """What went wrong, on one line."""
    error = _body(answer).get("error") or {}
    told = " ".join(str(error.get("message", "")).split())
    return f"{error.get('code') or answer.status_code}{': ' if told else ''}{told}"[:500]


_ASK = "`invoke check azure` lists the rights"
_OTHER = "another subscription or tenant is logged in here than is asked about: `az account set -s NAME`, `az login`"
_DENIED_HINTS = {
    "ExpiredAuthenticationToken": credentials.LOGIN,
    "InvalidAuthenticationToken": credentials.LOGIN,
    "InvalidAuthenticationTokenTenant": _OTHER,
    "InvalidSubscriptionId": _OTHER,
    "SubscriptionNotFound": _OTHER,
}
_NONE_NOW = "there is no capacity now: try again later, or another region or type"
_HINTS = {
    "AllocationFailed": _NONE_NOW,
    "OverconstrainedAllocationRequest": _NONE_NOW,
    "OverconstrainedZonalAllocationRequest": _NONE_NOW,
    "SkuNotAvailable": _NONE_NOW,
    "ZonalAllocationFailed": _NONE_NOW,
}
