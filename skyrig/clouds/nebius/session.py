"""Who calls Nebius, and for which project.

NEBIUS_IAM_TOKEN says who calls, else the credentials file of a service account (NEBIUS_CREDENTIALS_FILE, or
~/.nebius/credentials.json, where SkyPilot has it), else the profile of Nebius' own command line tool.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

TOKEN = "NEBIUS_IAM_TOKEN"
CREDENTIALS = "NEBIUS_CREDENTIALS_FILE"
PROJECT = "NEBIUS_PROJECT_ID"
LOOPBACK = "SKYRIG_NEBIUS_LOOPBACK"
"""Names 127.0.0.1:PORT, where a stand-in for the API answers without TLS."""
LOGIN = (
    "`nebius profile create`, or put a service account's key into ~/.nebius/credentials.json (docs/clouds/nebius.md)"
)
NAME_ONE = f"set {PROJECT}, or write the project's id into ~/.nebius/NEBIUS_PROJECT_ID.txt"

_SDKS = ("nebius", "pulumi_nebius")


def missing() -> str:
    """What is missing for using Nebius from here, by files and variables; "" where nothing is."""
    if not all(importlib.util.find_spec(name) for name in _SDKS):
        return "its SDK is not installed: `pip install 'skyrig[nebius]'`, in a clone `./rig setup nebius`"
    named = os.environ.get(CREDENTIALS, "")
    if named and not os.environ.get(TOKEN) and not Path(named).expanduser().exists():
        return f"{CREDENTIALS} names {named}, and no such file is there: {LOGIN}"
    return "" if authentication() is not None else f"no credentials: {LOGIN}"


def authentication() -> dict[str, Any] | None:
    """How the engine's provider logs in, as its arguments; nothing of it is secret. {} where it takes the token from
    its environment by itself; None where there is no way."""
    if os.environ.get(TOKEN):
        return {}
    if os.environ.get(CREDENTIALS):
        return {"service_account": {"credentials_file_env": CREDENTIALS}}
    if (file := _home() / "credentials.json").exists():
        return {"service_account": {"credentials_file": str(file)}}
    return {"profile": {}} if (_home() / "config.yaml").exists() else None


def project() -> str:
    """The project that is named beside the credentials, without asking anybody; "" where none is."""
    return next(filter(None, _named()), "")


def sdk() -> Any:
    """A client of the API, which is to be closed (`sync_close`). ValueError for a token that is none; what the SDK and
    its readers of files raise for what they cannot read."""
    from nebius.aio.cli_config import Config
    from nebius.base.options import INSECURE
    from nebius.base.resolver import Constant
    from nebius.sdk import SDK

    given: dict[str, Any] = {"user_agent_prefix": "skyrig/0.1"}
    loopback = os.environ.get(LOOPBACK, "")
    if loopback.startswith("127.0.0.1:"):
        given |= {"resolver": Constant(loopback), "options": [(INSECURE, True)]}
    if token := os.environ.get(TOKEN, "").strip():
        if not re.fullmatch(r"[!-~]+", token):
            raise ValueError(f"{TOKEN} is no token: it holds more than one word")
        return SDK(credentials=token, **given)
    file = os.environ.get(CREDENTIALS) or str(_home() / "credentials.json")
    if Path(file).expanduser().exists():
        return SDK(credentials_file_name=Path(file).expanduser(), **given)
    return SDK(config_reader=Config(), **given)


def _named() -> Iterator[str]:
    yield os.environ.get(PROJECT, "")
    yield _text(_home() / "NEBIUS_PROJECT_ID.txt").strip()
    yield _of_profile()


def _of_profile() -> str:
    """The project of the command line tool's profile."""
    try:
        read = yaml.safe_load(_text(_home() / "config.yaml"))
    except yaml.YAMLError:
        return ""  # whoever uses it will say so
    if not isinstance(read, dict):
        return ""
    name = os.environ.get("NEBIUS_PROFILE") or read.get("default") or ""
    profile = (read.get("profiles") or {}).get(name) or {}
    return str(profile.get("parent-id") or "") if isinstance(profile, dict) else ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _home() -> Path:
    return Path("~/.nebius").expanduser()
