"""Signatures of calls to Oracle Cloud's APIs, version 1 (docs.oracle.com: API, Request Signatures). Pure functions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import field, frozen

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ALWAYS = ("date", "(request-target)", "host")
"""What every signature covers."""
OF_A_BODY = ("content-length", "content-type", "x-content-sha256")
"""What one of a call with a body covers besides."""
FEDERATING = ("date", "(request-target)")
"""What the signature of a request for a token covers in place of ALWAYS."""


@frozen
class Caller:
    """Who calls: what names the key to Oracle, and the key, which never leaves the process."""

    key_id: str = field(repr=False)
    key: RSAPrivateKey = field(repr=False)
    who: str = ""


def signed(
    caller: Caller, method: str, url: str, body: bytes | None, now: datetime, covers: tuple[str, ...] = ALWAYS
) -> dict[str, str]:
    """Headers of a call at `now` (UTC), with its signature; a body is JSON."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    parts = urlsplit(url)
    headers = {"date": format_datetime(now, usegmt=True), "host": parts.netloc}
    if body is not None:
        headers |= {
            "content-length": str(len(body)),
            "content-type": "application/json",
            "x-content-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        }
        covers += OF_A_BODY
    text = said(method, f"{parts.path}{'?' + parts.query if parts.query else ''}", headers, covers)
    signature = base64.b64encode(caller.key.sign(text.encode(), PKCS1v15(), SHA256())).decode()
    words = {"version": "1", "headers": " ".join(covers), "keyId": caller.key_id, "algorithm": "rsa-sha256"}
    told = ",".join(f'{name}="{value}"' for name, value in {**words, "signature": signature}.items())
    return {**headers, "authorization": f"Signature {told}"}


def said(method: str, target: str, headers: Mapping[str, str], covers: tuple[str, ...]) -> str:
    """The text that is signed."""
    known = {**headers, "(request-target)": f"{method.lower()} {target}"}
    return "\n".join(f"{name}: {known[name]}" for name in covers)
