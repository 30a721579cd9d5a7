"""The one door to Google Cloud's APIs: where they are, pages, operations, patience, and errors as ours.

Each service is where its variable says (those of the provider), else at Google.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.gcp import session
from skyrig.errors import SkyrigError

if TYPE_CHECKING:
    import requests

Described = dict[str, Any]
"""A thing as an API describes it."""

SERVICES = {
    "compute": ("GOOGLE_COMPUTE_CUSTOM_ENDPOINT", "https://compute.googleapis.com/compute/v1/"),
    "tpu": ("GOOGLE_TPU_V2_CUSTOM_ENDPOINT", "https://tpu.googleapis.com/v2/"),
    "iam": ("GOOGLE_IAM_CUSTOM_ENDPOINT", "https://iam.googleapis.com/v1/"),
    "cloudresourcemanager": (
        "GOOGLE_RESOURCE_MANAGER_CUSTOM_ENDPOINT",
        "https://cloudresourcemanager.googleapis.com/v1/",
    ),
    "serviceusage": ("GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT", "https://serviceusage.googleapis.com/v1/"),
    "cloudquotas": ("GOOGLE_CLOUD_QUOTAS_CUSTOM_ENDPOINT", "https://cloudquotas.googleapis.com/v1/"),
    "cloudbilling": ("GOOGLE_CLOUD_BILLING_CUSTOM_ENDPOINT", "https://cloudbilling.googleapis.com/v1/"),
    "storage": ("GOOGLE_STORAGE_CUSTOM_ENDPOINT", "https://storage.googleapis.com/storage/v1/"),
}
"""Variable and address of each API."""

PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts where an API is busy and does not say how long."""
_LONGEST_PAUSE_S = 30.0
_ANSWER_S = 180.0
"""Seconds for one answer: the call that waits for an operation answers after two minutes at most."""
_POLL_S = 2.0
_BUSY = (429, 500, 502, 503, 504)
_TOO_FAST = {"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"}
_DISABLED = {"SERVICE_DISABLED", "accessNotConfigured"}


class NotThere(SkyrigError):
    """An API knows no such thing; that may also be its project."""


class Disabled(NotUsable):
    """An API is not activated in the project: nothing of its kind can be there."""


class Door:
    """The APIs, for one project. Safe to use from several threads."""

    def __init__(self, project: str) -> None:
        from google.auth.transport.requests import AuthorizedSession

        if not project:
            raise NotUsable("gcp: nothing names a project", hint=session.NAME_ONE)
        self.project = project
        self._session: Any = AuthorizedSession(session.credentials())

    @property
    def who(self) -> str:
        """Who calls, as far as the credentials say it."""
        held = self._session.credentials
        named = getattr(held, "service_account_email", "") or getattr(held, "account", "")
        return str(named or "somebody whom the credentials do not name")

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        service: str = "compute",
        body: Mapping[str, Any] | None = None,
    ) -> Described:
        """The answer to one call. `path` is behind the project's, or from the root of the API with a slash before it.
        NotUsable where the credentials are not good enough, NotThere, Disabled, else SkyrigError."""
        variable, address = SERVICES[service]
        root = os.environ.get(variable, address).rstrip("/")
        url = f"{root}{path}" if path.startswith("/") else f"{root}/projects/{self.project}/{path}".rstrip("/")
        answer = self._answered(method, url, dict(query or {}), body)
        if not answer.ok:
            raise self._refused(answer, f"{method} {path or self.project}", service)
        said: Described = answer.json() if answer.content else {}
        return said

    def pages(
        self, path: str, query: Mapping[str, Any] | None = None, *, service: str = "compute"
    ) -> Iterator[Described]:
        """The answers to a call that lists, page by page."""
        asked = dict(query or {})
        while True:
            page = self.call("GET", path, asked, service=service)
            yield page
            if not page.get("nextPageToken"):
                return
            asked["pageToken"] = page["nextPageToken"]

    def listed(
        self, path: str, key: str = "items", query: Mapping[str, Any] | None = None, *, service: str = "compute"
    ) -> list[Described]:
        """All that a list names under `key`."""
        return [each for page in self.pages(path, query, service=service) for each in page.get(key, ())]

    def everywhere(self, noun: str, query: Mapping[str, Any] | None = None) -> list[Described]:
        """All things of a kind in all zones. SkyrigError where a zone cannot be reached: what it has is not gone."""
        found: list[Described] = []
        for page in self.pages(f"aggregated/{noun}", query):
            for scope, said in page.get("items", {}).items():
                if said.get("warning", {}).get("code") == "UNREACHABLE":
                    raise SkyrigError(f"gcp: {noun} of {scope} cannot be listed now", hint="try again later")
                found += said.get(noun, ())
        return found

    def there(self, path: str, *, service: str = "compute") -> Described | None:
        """One thing; None where the project is there and the thing is not."""
        try:
            return self.call("GET", path, service=service)
        except NotThere:
            self.project_there()
            return None

    def project_there(self) -> Described:
        """The project, as Compute Engine describes it; NotUsable where it is not there for these credentials."""
        try:
            return self.call("GET", "")
        except NotThere as error:
            told = f"gcp: project {self.project} is not there, or not for these credentials"
            raise NotUsable(told, hint=session.NAME_ONE) from error

    def ended(self, scope: str, operation: str, until: float) -> str:
        """What is wrong with an operation of Compute Engine (`scope`: global, zones/ZONE or regions/REGION) once it has
        ended; "" where nothing is. `until` is monotonic time."""
        while True:
            said = self.call("POST", f"{scope}/operations/{operation}/wait")
            if said.get("status") == "DONE":
                errors = said.get("error", {}).get("errors", [])
                return "; ".join(error.get("message") or error["code"] for error in errors)
            if time.monotonic() > until:
                return "it takes too long"

    def tpu_ended(self, operation: str, until: float) -> str:
        """The same of an operation of Cloud TPU, which is named in full: the API has no call that waits."""
        while True:
            said = self.call("GET", f"/{operation}", service="tpu")
            if said.get("done"):
                return str(said.get("error", {}).get("message", ""))
            if time.monotonic() > until:
                return "it takes too long"
            time.sleep(_POLL_S)

    def _answered(self, method: str, url: str, query: dict[str, Any], body: Any) -> requests.Response:
        """An answer, after some patience where the API is busy. Whatever we ask can be asked twice."""
        import requests
        from google.auth.exceptions import GoogleAuthError

        for pause in (*PAUSES_S, None):
            try:
                answer = self._session.request(method, url, params=query, json=body, timeout=_ANSWER_S)
            except GoogleAuthError as error:
                raise NotUsable(f"gcp: the credentials do not work: {error}", hint=session.LOGIN) from error
            except requests.RequestException as error:
                if pause is None:
                    raise SkyrigError(f"gcp: {method} {url}: {error}") from error
                answer = None
            if answer is not None and (pause is None or not _is_busy(answer)):
                break
            time.sleep(_pause(answer, pause or 0.0))
        assert answer is not None
        found: requests.Response = answer
        return found

    def _refused(self, answer: requests.Response, what: str, service: str) -> SkyrigError:
        status, said = answer.status_code, _message(answer)
        if status == 401:
            return NotUsable(f"gcp: the credentials are not valid: {said}", hint=f"renew them: {session.LOGIN}")
        if _DISABLED & _reasons(answer):
            api = f"{service}.googleapis.com"
            hint = f"`gcloud services enable {api} --project {self.project}`"
            return Disabled(f"gcp: {api} is not activated in {self.project}", hint=hint)
        told = f"gcp: {what}: HTTP {status}: {said}"
        if status == 403:
            return NotUsable(told, hint="`invoke check gcp` lists the rights")
        return NotThere(told) if status == 404 else SkyrigError(told)


def _is_busy(answer: requests.Response) -> bool:
    return answer.status_code in _BUSY or (answer.status_code == 403 and bool(_TOO_FAST & _reasons(answer)))


def _pause(answer: requests.Response | None, otherwise: float) -> float:
    """Seconds to wait: what the API says, else our own, not the same for all."""
    said = answer.headers.get("Retry-After", "") if answer is not None else ""
    return min(float(said), _LONGEST_PAUSE_S) if said.isdigit() else otherwise * random.uniform(0.75, 1.25)


def _error(answer: requests.Response) -> Mapping[str, Any]:
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {"message": str(error)}


def _message(answer: requests.Response) -> str:
    return str(_error(answer).get("message") or answer.text[:200])


def _reasons(answer: requests.Response) -> set[str]:
    """The reasons of an error in both styles of Google's APIs."""
    error = _error(answer)
    return {str(each.get("reason")) for each in (*error.get("errors", ()), *error.get("details", ()))}
