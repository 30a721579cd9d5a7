"""Who calls Google Cloud, and for which project, by the same variables and files as the provider.

GOOGLE_OAUTH_ACCESS_TOKEN or one of KEY_VARIABLES (a file or its text) say who calls, else the application default
credentials; GOOGLE_IMPERSONATE_SERVICE_ACCOUNT says as whom.
"""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skyrig.clouds.cloud import NotUsable

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
KEY_VARIABLES = ("GOOGLE_CREDENTIALS", "GOOGLE_CLOUD_KEYFILE_JSON", "GCLOUD_KEYFILE_JSON")
PROJECT_VARIABLES = ("GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
LOGIN = "`gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
NAME_ONE = "`gcloud config set project NAME`, or set GOOGLE_CLOUD_PROJECT"

_SDKS = ("pulumi_gcp", "google.auth", "requests")
_OWN_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_PRODUCT = Path("/sys/class/dmi/id/product_name")
"""Says on a machine of Google Cloud that it is one: it has credentials of its own."""


def missing() -> str:
    """What is missing for using Google Cloud from here, by files and variables; "" where nothing is."""
    if not all(map(_installed, _SDKS)):
        return "its SDK is not installed: `pip install 'skyrig[gcp]'`, in a clone `./rig setup gcp`"
    if any(os.environ.get(name) for name in ("GOOGLE_OAUTH_ACCESS_TOKEN", *KEY_VARIABLES)):
        return ""
    if file := os.environ.get(_OWN_FILE, ""):
        return "" if Path(file).exists() else f"{_OWN_FILE} names {file}, and no such file is there: {LOGIN}"
    if _default_file().exists() or _is_google_machine():
        return ""
    return f"no credentials: {LOGIN}"


def project() -> str:
    """The project that is named beside the credentials, without asking anybody: by a variable, else by the key that was
    given, else by gcloud's configuration, else by the application default credentials; "" where nothing names one."""
    return next(filter(None, _named()), "")


def _named() -> Iterator[str]:
    yield from (os.environ.get(name, "") for name in PROJECT_VARIABLES)
    yield from (_of_key(os.environ.get(name, "")) for name in (*KEY_VARIABLES, _OWN_FILE))
    yield _of_gcloud()
    yield _of_key(str(_default_file()))


def credentials() -> Any:
    """Credentials of google-auth; NotUsable where there are none."""
    from google.auth import impersonated_credentials
    from google.oauth2.credentials import Credentials

    token = os.environ.get("GOOGLE_OAUTH_ACCESS_TOKEN", "")
    target = os.environ.get("GOOGLE_IMPERSONATE_SERVICE_ACCOUNT", "")
    found = Credentials(token=token) if token else _found()
    return impersonated_credentials.Credentials(found, target, list(SCOPES)) if target else found


def _found() -> Any:
    from google import auth

    given = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), "")
    try:
        if not given:
            return auth.default(scopes=list(SCOPES))[0]
        text = given if _is_text(given) else Path(given).read_text(encoding="utf-8")
        return auth.load_credentials_from_dict(json.loads(text), scopes=list(SCOPES))[0]
    except (auth.exceptions.GoogleAuthError, OSError, ValueError) as error:
        raise NotUsable(f"gcp: no credentials of Google Cloud: {error}", hint=LOGIN) from error


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of the package that it lies in
        return False


def _is_text(given: str) -> bool:
    return given.lstrip().startswith("{")


def _of_key(given: str) -> str:
    """The project that a key, given as a file or its text, belongs to or is billed to; "" where it says none."""
    try:
        said = json.loads(given if _is_text(given) else Path(given).read_text(encoding="utf-8")) if given else {}
    except (OSError, ValueError):
        return ""  # whoever uses it will say so
    return str(said.get("project_id") or said.get("quota_project_id") or "") if isinstance(said, dict) else ""


def _of_gcloud() -> str:
    """The project of gcloud's active configuration."""
    folder = _folder()
    try:
        active = os.environ.get("CLOUDSDK_ACTIVE_CONFIG_NAME") or (folder / "active_config").read_text().strip()
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string((folder / "configurations" / f"config_{active}").read_text(encoding="utf-8"))
    except (OSError, configparser.Error):
        return ""
    return parser.get("core", "project", fallback="")


def _folder() -> Path:
    return Path(os.environ.get("CLOUDSDK_CONFIG") or "~/.config/gcloud").expanduser()


def _default_file() -> Path:
    return _folder() / "application_default_credentials.json"


def _is_google_machine() -> bool:
    try:
        return _PRODUCT.read_text(encoding="utf-8").startswith("Google")
    except OSError:
        return False
