"""Who calls Oracle Cloud, and for which compartment, by the same variables and files as the provider.

Each of its settings is in a variable TF_VAR_NAME or OCI_NAME (auth, tenancy_ocid, user_ocid, fingerprint, private_key,
private_key_path, private_key_password, region, config_file_profile), else in a profile of ~/.oci/config. `auth` is
ApiKey (which is what is taken where nothing says), SecurityToken (`oci session authenticate`) or InstancePrincipal.
"""

from __future__ import annotations

import configparser
import functools
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.oci.signing import Caller

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

LOGIN = "`oci setup config`, or `oci session authenticate`"
COMPARTMENT = "OCI_COMPARTMENT_OCID"
NAME_ONE = f"set {COMPARTMENT}, or `compartment` in the profile of ~/.oci/config"

_SDK = "pulumi_oci"
_SETTINGS = {
    "tenancy": "tenancy_ocid",
    "user": "user_ocid",
    "fingerprint": "fingerprint",
    "key": "private_key",
    "key_file": "private_key_path",
    "pass_phrase": "private_key_password",
    "region": "region",
}
"""The provider's name of each setting, by its name in a profile."""


def missing() -> str:
    """What is missing for using Oracle Cloud from here, by files and variables; "" where nothing is."""
    if importlib.util.find_spec(_SDK) is None:
        return "its SDK is not installed: `pip install 'skyrig[oci]'`, in a clone `./rig setup oci`"
    if auth() == "instanceprincipal":
        return ""
    said = settings()
    token = auth() == "securitytoken"
    if token and not said.get("security_token_file"):
        return "its profile has no security_token_file: `oci session authenticate`"
    needed = ("tenancy",) if token else ("tenancy", "user", "fingerprint")
    if lacking := [name for name in needed if not said.get(name)]:
        return f"no credentials ({', '.join(lacking)}): {LOGIN}"
    if not said.get("key") and not Path(said.get("key_file") or "none").expanduser().exists():
        return f"its key is not there ({said.get('key_file') or 'no key_file'}): {LOGIN}"
    return ""


def auth() -> str:
    """How one calls, in small letters."""
    return (_variable("auth") or "ApiKey").lower()


def settings() -> Mapping[str, str]:
    """All settings, by their names in a profile."""
    given = {name: _variable(word) for name, word in _SETTINGS.items()}
    return {**_profile(), **{name: value for name, value in given.items() if value}}


def tenancy() -> str:
    """The tenancy of the credentials, without asking anybody but the machine itself; "" where nothing names one."""
    if auth() == "instanceprincipal":
        from skyrig.clouds.oci import principal

        return principal.tenancy()
    return settings().get("tenancy", "")


def account() -> str:
    """The compartment that is named beside the credentials; else the root compartment, which is the tenancy; "" where
    nothing names one."""
    return os.environ.get(COMPARTMENT) or _variable("compartment_ocid") or _profile().get("compartment") or tenancy()


def caller() -> Caller:
    """Who calls; NotUsable where there are no credentials, or none that can be used."""
    if reason := missing():
        raise NotUsable(f"oci: {reason}")
    if auth() == "instanceprincipal":
        from skyrig.clouds.oci import principal

        return principal.caller()
    said = settings()
    key = _key(said)
    if auth() == "securitytoken":
        try:
            token = Path(said["security_token_file"]).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NotUsable(f"oci: the session's token cannot be read: {error}", hint=LOGIN) from error
        return Caller(f"ST${token}", key, "the session of `oci session authenticate`")
    return Caller(f"{said['tenancy']}/{said['user']}/{said['fingerprint']}", key, said["user"])


def _key(said: Mapping[str, str]) -> RSAPrivateKey:
    try:
        text = said["key"].encode() if said.get("key") else Path(said["key_file"]).expanduser().read_bytes()
        return _read(text, said.get("pass_phrase", "").encode())
    except (OSError, ValueError, TypeError) as error:
        raise NotUsable(f"oci: the key cannot be read: {error}", hint=LOGIN) from error


@functools.lru_cache(maxsize=4)
def _read(text: bytes, word: bytes) -> RSAPrivateKey:
    """The key in a file; reading it takes longer than signing with it. ValueError or TypeError where there is none."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(text, (word or None) if b"ENCRYPTED" in text else None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("it is no RSA key")
    return key


def _variable(word: str) -> str:
    return os.environ.get(f"TF_VAR_{word}") or os.environ.get(f"OCI_{word.upper()}") or ""


def _profile() -> Mapping[str, str]:
    """The profile that is named, or DEFAULT; nothing where there is none."""
    file = Path("~/.oci/config").expanduser()
    if not file.exists():
        file = Path(os.environ.get("OCI_CONFIG_FILE") or "none").expanduser()
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}
    name = _variable("config_file_profile") or "DEFAULT"
    return dict(parser[name]) if name in parser else {}
