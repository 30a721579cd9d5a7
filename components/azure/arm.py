"""Azure Resource Manager, as far as the power of machines needs it: over HTTPS, with requests.

azure-native's VirtualMachine has no property for power: to start and to deallocate are calls beside its model.
"""

import ipaddress
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from components.azure import credentials
from skyrig.errors import SkyrigError

VERSION = "2024-11-01"
"""Version of the compute API; the one of pulumi-azure-native 3's VirtualMachine."""

LOOPBACK = "SKYRIG_AZURE_LOOPBACK"
"""Variable with the address of a server on this machine that stands for Resource Manager, asked without a token; any
other address is refused."""

_LIMIT_S = 1800.0
_PAUSE_S = 5.0
_BUSY = frozenset({"AnotherOperationInProgress", "OperationPreempted", "RetryableError", "Conflict"})
_GONE = frozenset({"ResourceNotFound", "ResourceGroupNotFound", "NotFound"})


class ArmError(SkyrigError):
    """Azure Resource Manager refused, or did not answer in time."""


class Arm:
    """Resource Manager at one address. `token` gives the bearer token of a request ("" for none), `limit_s` bounds
    each operation, `pause_s` is the pause between two questions where the server names none."""

    def __init__(
        self, address: str, token: Callable[[], str], *, limit_s: float = _LIMIT_S, pause_s: float = _PAUSE_S
    ) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util.retry import Retry

        # Both calls may be made twice, so what failed on the way is asked again; Retry-After is respected.
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
        self._session.mount(address, HTTPAdapter(max_retries=again))
        self._address, self._token, self._limit_s, self._pause_s = address.rstrip("/"), token, limit_s, pause_s

    def power(self, machine: str) -> str | None:
        """State of the machine with this resource id as Azure calls it: running, deallocated (nothing but disks is
        paid for), stopped (shut down from inside, and paid for), starting, ... None where it is gone.

        A subscription that is not there is an error: who asks as somebody else shall not think that all is gone.
        """
        answer = self._ask("GET", f"{self._address}{machine}/instanceView?api-version={VERSION}")
        if answer.status_code == 404 and _code(answer) in _GONE:
            return None
        if answer.status_code != 200:
            raise ArmError(f"power of {_name(machine)}: {_said(answer)}")
        states = [str(status.get("code", "")) for status in answer.json().get("statuses", [])]
        return next((state.partition("/")[2] for state in states if state.startswith("PowerState/")), "unknown")

    def act(self, machine: str, verb: str) -> None:
        """`start` or `deallocate` a machine, and wait until that is done; ArmError where it fails."""
        until = time.monotonic() + self._limit_s
        url = f"{self._address}{machine}/{verb}?api-version={VERSION}"
        answer = self._ask("POST", url)
        while answer.status_code == 409 and _code(answer) in _BUSY:
            self._pause(answer, until, f"{verb} {_name(machine)}: {_said(answer)}")
            answer = self._ask("POST", url)
        if answer.status_code == 202:
            self._wait(answer, until, f"{verb} {_name(machine)}")
        elif answer.status_code not in (200, 204):
            raise ArmError(f"{verb} {_name(machine)}: {_said(answer)}", hint=_hint(_code(answer)))

    def _wait(self, accepted: Any, until: float, what: str) -> None:
        """Follow an operation that was accepted to its end."""
        where = accepted.headers.get("Azure-AsyncOperation") or accepted.headers.get("Location")
        if not where or urlsplit(where).netloc != urlsplit(self._address).netloc:
            raise ArmError(f"{what}: accepted, and Azure does not say where to follow it")
        answer = accepted
        while True:
            self._pause(answer, until, f"{what}: not done in {self._limit_s:.0f} s")
            answer = self._ask("GET", where)
            if answer.status_code not in (200, 202, 204):
                raise ArmError(f"{what}: {_said(answer)}", hint=_hint(_code(answer)))
            status = _body(answer).get("status", "Succeeded" if answer.status_code in (200, 204) else "InProgress")
            if status == "Succeeded":
                return
            if status in ("Failed", "Canceled"):
                raise ArmError(f"{what}: {_said(answer)}", hint=_hint(_code(answer)))

    def _pause(self, answer: Any, until: float, late: str) -> None:
        """The pause that an answer asks for; ArmError `late` where it would be over only after `until`."""
        asked = answer.headers.get("Retry-After", "")
        pause = min(float(asked), 60.0) if asked.isdigit() else self._pause_s
        if time.monotonic() + pause > until:
            raise ArmError(late)
        time.sleep(pause)

    def _ask(self, method: str, url: str) -> Any:
        import requests

        token = self._token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            return self._session.request(method, url, headers=headers, timeout=60, allow_redirects=False)
        except requests.RequestException as error:
            raise ArmError(f"{urlsplit(url).netloc} does not answer: {type(error).__name__}") from error


def of_environment() -> Arm:
    """Resource Manager as this process's environment has it."""
    loopback = os.environ.get(LOOPBACK, "")
    if not loopback:
        return Arm(credentials.audience(os.environ), credentials.tokens())
    host = urlsplit(loopback).hostname or ""
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise ArmError(f"{LOOPBACK}={loopback}: an address of this machine is wanted, http://127.0.0.1:PORT")
    return Arm(loopback, lambda: "", pause_s=0.1)


def _name(machine: str) -> str:
    return machine.rpartition("/")[2]


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


def _hint(code: str) -> str | None:
    if code in ("AllocationFailed", "OverconstrainedAllocationRequest", "ZonalAllocationFailed", "SkuNotAvailable"):
        return "there is no capacity now: try again later, or another region or type"
    return "is the machine of another subscription?" if code == "SubscriptionNotFound" else None
