"""Secrets at rest: sealed with a key that lies in a file of its own, readable by its owner alone.

That keeps them out of copies of the table and of packages (backups, reports), not from who may read the whole home.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from skyrig import places
from skyrig.control import folder
from skyrig.errors import SkyrigError

_MARK = b"skyrig-sealed-1\n"
_KEY_BYTES, _NONCE_BYTES = 32, 12


def seal(plain: bytes, what: str) -> bytes:
    """`plain`, readable with the key alone; `what` names its place, in which alone it opens again."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _MARK + nonce + AESGCM(_key(make=True)).encrypt(nonce, plain, what.encode())


def opened(sealed: bytes, what: str) -> bytes:
    """What was sealed as `what`. SkyrigError where the key is another one or gone, or the text was changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not sealed.startswith(_MARK):
        raise SkyrigError(f"the secrets of {what} cannot be read", hint="ask for it again")
    body = sealed[len(_MARK) :]
    try:
        return AESGCM(_key(make=False)).decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], what.encode())
    except InvalidTag:
        hint = "put the key that they were sealed with back, or ask for it again"
        raise SkyrigError(f"{folder.key()} is not the key of the secrets of {what}", hint=hint) from None


def _key(*, make: bool) -> bytes:
    """The key; made at first use, by one of those who do that at once."""
    file = folder.key()
    with contextlib.suppress(FileNotFoundError):
        return _read(file)
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        os.link(folder.old_key(), places.made(file.parent) / file.name)
    with contextlib.suppress(FileNotFoundError):
        return _read(file)
    if not make:
        raise SkyrigError(f"{file} is gone, and secrets are sealed with it", hint="put it back, or ask for them again")
    descriptor, fresh = tempfile.mkstemp(dir=places.made(file.parent), prefix=".key.")
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(secrets.token_bytes(_KEY_BYTES))
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, file)
    finally:
        Path(fresh).unlink()
    return _read(file)


def _read(file: Path) -> bytes:
    key = file.read_bytes()
    if len(key) != _KEY_BYTES:
        raise SkyrigError(f"{file} is no key", hint="put the right one back")
    return key
