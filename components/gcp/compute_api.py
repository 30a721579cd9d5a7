"""The few calls of the Compute Engine API that switch machines on and off, with the credentials of the provider.

As for the provider, GOOGLE_OAUTH_ACCESS_TOKEN or one of KEY_VARIABLES (a file or its text) say who calls, else the
application default credentials; GOOGLE_IMPERSONATE_SERVICE_ACCOUNT says as whom, and GOOGLE_COMPUTE_CUSTOM_ENDPOINT
where the API is.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
from google import auth
from google.auth import impersonated_credentials
from google.auth.transport.requests import AuthorizedSession
from google.oauth2.credentials import Credentials

from skyrig.errors import SkyrigError

ENDPOINT = "https://compute.googleapis.com/compute/v1/"
SCOPES = ("https://www.googleapis.com/auth/compute",)
KEY_VARIABLES = ("GOOGLE_CREDENTIALS", "GOOGLE_CLOUD_KEYFILE_JSON", "GCLOUD_KEYFILE_JSON")
LIMIT_S = 900.0
"""Seconds that starting or stopping may take."""
_ANSWER_S = 180.0
"""Seconds for one answer: the call that waits for an operation answers after two minutes at most."""


class ComputeError(SkyrigError):
    """A call of the Compute Engine API that failed, or an operation that ended with an error."""


class Zone:
    """The machines of one zone of a project."""

    def __init__(self, project: str, zone: str) -> None:
        endpoint = os.environ.get("GOOGLE_COMPUTE_CUSTOM_ENDPOINT", ENDPOINT).rstrip("/")
        self._url = f"{endpoint}/projects/{project}/zones/{zone}"
        self._session = _session()

    def look(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """`status` of each machine as the API calls it and when it was last `started`; a machine that is gone has the
        status "GONE". One call looks at 500 of them."""
        asked = {
            "fields": "items(name,status,lastStartTimestamp),nextPageToken",
            "filter": f"name eq {os.path.commonprefix(list(names))}.*",  # noqa: RUF071  of letters is meant
            "maxResults": "500",
        }
        found: dict[str, dict[str, Any]] = {}
        while True:
            page = self._call("GET", "instances", asked)
            found.update({each["name"]: each for each in page.get("items", [])})
            if not page.get("nextPageToken"):
                break
            asked["pageToken"] = page["nextPageToken"]
        return {name: _said(found.get(name, {})) for name in names}

    def switch(self, names: Sequence[str], verb: str) -> None:
        """`start` or `stop` these machines, all at once, and wait until that is done. What is on local disks of a
        stopped machine is discarded: it cannot be kept on machines with accelerators."""
        asked = {"discardLocalSsd": "true"} if verb == "stop" else {}
        begun, failed = {}, {}
        for name in names:
            try:
                begun[name] = self._call("POST", f"instances/{name}/{verb}", asked)["name"]
            except ComputeError as error:
                failed[name] = str(error)
        until = time.monotonic() + LIMIT_S
        for name, operation in begun.items():
            said = self._ended(operation, until)
            if said:
                failed[name] = said
        if failed:
            told = "; ".join(f"{name}: {why}" for name, why in failed.items())
            raise ComputeError(f"{verb} failed: {told}", hint="run the same command again: what is done stays done")

    def _ended(self, operation: str, until: float) -> str:
        """What is wrong with an operation once it has ended; "" where nothing is."""
        while True:
            said = self._call("POST", f"operations/{operation}/wait", {})
            if said.get("status") == "DONE":
                errors = said.get("error", {}).get("errors", [])
                return "; ".join(error.get("message") or error["code"] for error in errors)
            if time.monotonic() > until:
                return f"not done after {LIMIT_S:.0f} s"

    def _call(self, method: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        try:
            answer = self._session.request(method, f"{self._url}/{path}", params=dict(query), timeout=_ANSWER_S)
        except (requests.RequestException, auth.exceptions.GoogleAuthError) as error:
            raise ComputeError(f"{method} {path}: {error}") from error
        if not answer.ok:
            raise ComputeError(f"{method} {path}: HTTP {answer.status_code}: {_reason(answer)}")
        said: dict[str, Any] = answer.json()
        return said


def _said(machine: Mapping[str, Any]) -> dict[str, str]:
    return {"status": machine.get("status", "GONE"), "started": machine.get("lastStartTimestamp", "")}


def _reason(answer: requests.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


def _session() -> AuthorizedSession:
    token, target = (
        os.environ.get("GOOGLE_OAUTH_ACCESS_TOKEN", ""),
        os.environ.get("GOOGLE_IMPERSONATE_SERVICE_ACCOUNT"),
    )
    credentials = Credentials(token=token) if token else _credentials()
    if target:
        credentials = impersonated_credentials.Credentials(credentials, target, list(SCOPES))
    return AuthorizedSession(credentials)


def _credentials() -> Any:
    given = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), "")
    try:
        if not given:
            return auth.default(scopes=list(SCOPES))[0]
        text = given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8")
        return auth.load_credentials_from_dict(json.loads(text), scopes=list(SCOPES))[0]
    except (auth.exceptions.GoogleAuthError, OSError, ValueError) as error:
        hint = "`gcloud auth application-default login`, or set GOOGLE_CREDENTIALS"
        raise ComputeError(f"no credentials of Google Cloud: {error}", hint=hint) from error
