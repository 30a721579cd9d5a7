"""What a node was told at its first boot, read back from AWS: the host key that it has since then, who may log in, and
the container that jobs run in. Pure functions.

It is AWS that says so, over TLS and to this account alone: no network between here and the node can make it up.
"""

from __future__ import annotations

import base64
import gzip
import re
import shlex
import zlib
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from skyrig.clouds.adopter import HostKey

_CONTAINER = re.compile(r"^image=(.+)$", re.MULTILINE)


@frozen
class Told:
    """What is of use in user data of ours; `whole` is all of it, as EC2 hands it over."""

    whole: str = field(default="", repr=False)
    host_key: HostKey | None = None
    client_keys: tuple[str, ...] = ()
    container: str = ""


def read(value: str) -> Told | None:
    """User data as EC2 hands it over; None where it is none of ours."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe").load(_unpacked(base64.b64decode(value)))
    except (ValueError, OSError, zlib.error, EOFError, YAMLError):
        return None
    if not isinstance(document, Mapping) or not isinstance(document.get("ssh_keys"), Mapping):
        return None
    keys = document["ssh_keys"]
    private, public = str(keys.get("ed25519_private", "")), str(keys.get("ed25519_public", ""))
    users = [each for each in document.get("users", ()) if isinstance(each, Mapping)]
    clients = tuple(str(key) for each in users for key in each.get("ssh_authorized_keys", ()))
    host_key = HostKey(public.strip(), private) if private and public else None
    return Told(value, host_key, clients, _container(document))


def _container(document: Mapping[str, Any]) -> str:
    files = [each for each in document.get("write_files", ()) if str(each.get("path", "")).endswith("/container")]
    for each in files:
        match = _CONTAINER.search(_unpacked(base64.b64decode(each["content"])))
        if match:
            return shlex.split(match[1])[0]
    return ""


def _unpacked(data: bytes) -> str:
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
