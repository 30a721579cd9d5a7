"""The machine of Oracle Cloud that this runs on, as the one who calls: its certificate buys a token that lasts for some
minutes (docs.oracle.com: Calling Services from an Instance)."""

from __future__ import annotations

import base64
import json
import os
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from attrs import frozen

from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.oci.signing import FEDERATING, Caller, signed

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_ANSWER_S = 10.0
_LASTS_S = 600.0
"""Seconds that a token is used; it is valid for some more."""


@frozen
class _Held:
    """A caller, and when it was got, in seconds of monotonic time."""

    caller: Caller
    got: float


_held: list[_Held] = []


def tenancy() -> str:
    """The tenancy of this machine; NotUsable where it is none of Oracle Cloud's."""
    return str(json.loads(_metadata("instance/"))["tenantId"])


def caller() -> Caller:
    """This machine; NotUsable where it is none, or gets no token."""
    if _held and time.monotonic() - _held[0].got < _LASTS_S:
        return _held[0].caller
    found = _bought()
    _held[:] = [_Held(found, time.monotonic())]
    return found


def _bought() -> Caller:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    instance = json.loads(_metadata("instance/"))
    leaf = load_pem_x509_certificate(_metadata("identity/cert.pem"))
    own = load_pem_private_key(_metadata("identity/key.pem"), None)
    between = load_pem_x509_certificate(_metadata("identity/intermediate.pem"))
    assert isinstance(own, RSAPrivateKey)
    session = generate_private_key(65537, 2048)
    public = session.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    print_ = ":".join(f"{byte:02X}" for byte in leaf.fingerprint(SHA1()))
    body = json.dumps(
        {
            "certificate": _plain(leaf),
            "publicKey": base64.b64encode(public).decode(),
            "intermediateCertificates": [_plain(between)],
        }
    ).encode()
    place = instance["regionInfo"]
    url = f"{_auth(place)}/v1/x509"
    who = Caller(f"{instance['tenantId']}/fed-x509/{print_}", own)
    headers = signed(who, "POST", url, body, datetime.now(timezone.utc), FEDERATING)
    answer = json.loads(_answered(urllib.request.Request(url, body, headers, method="POST")))
    return Caller(f"ST${answer['token']}", session, f"the machine {instance['id']}")


def _plain(certificate: Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def _auth(place: dict[str, Any]) -> str:
    given = os.environ.get("SKYRIG_OCI_AUTH", "")
    return given or f"https://auth.{place['regionIdentifier']}.{place['realmDomainComponent']}"


def _metadata(path: str) -> bytes:
    base = os.environ.get("OCI_METADATA_BASE_URL") or "http://169.254.169.254/opc/v2"
    return _answered(urllib.request.Request(f"{base}/{path}", headers={"Authorization": "Bearer Oracle"}))


def _answered(request: urllib.request.Request) -> bytes:
    plain = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # metadata is never behind a proxy
    try:
        with plain.open(request, timeout=_ANSWER_S) as answer:
            found: bytes = answer.read()
            return found
    except OSError as error:
        told = "oci: this machine cannot call as itself (auth InstancePrincipal)"
        raise NotUsable(f"{told}: {error}", hint="that works on machines of Oracle Cloud alone") from error
