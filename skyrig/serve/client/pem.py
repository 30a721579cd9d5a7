"""Certificates that a user brings along: read, looked at, and joined to the one text that a balancer takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from skyrig.errors import BadInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

Read = TypeVar("Read")


def joined(certificate: Path, key: Path, now: datetime | None = None) -> str:
    """Certificate chain and private key as one PEM text. BadInput where one of them cannot be read, the key is locked
    or another one, or the certificate is over (or not valid yet) at `now`, this moment where it is None."""
    chain, secret = _bytes(certificate, "certfile"), _bytes(key, "keyfile")
    first = _of(certificate, "a certificate", lambda: _first(chain))
    private = _of(key, "a private key without a passphrase", lambda: _private(secret))
    if _public(first.public_key()) != _public(private.public_key()):
        raise BadInput(f"tls: {key} is not the key of {certificate}", hint="keyfile and certfile belong together")
    moment = now or datetime.now(timezone.utc)
    if moment >= first.not_valid_after_utc:
        raise BadInput(
            f"tls: the certificate {certificate} is over since {first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        )
    if moment < first.not_valid_before_utc:
        raise BadInput(
            f"tls: the certificate {certificate} is valid from {first.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        )
    return f"{chain.decode().strip()}\n{secret.decode().strip()}\n"


def _bytes(path: Path, what: str) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise BadInput(f"service.tls.{what}: {path}: {error.strerror}") from error


def _of(path: Path, what: str, read: Callable[[], Read]) -> Read:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return read()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it has a passphrase
        raise BadInput(f"tls: {path} is not {what}, as PEM") from error


def _first(chain: bytes) -> Certificate:
    from cryptography import x509

    return x509.load_pem_x509_certificates(chain)[0]


def _private(secret: bytes) -> PrivateKeyTypes:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(secret, password=None)


def _public(key: object) -> bytes:
    """A public key in the one form in which two of them can be compared."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    form: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return form
