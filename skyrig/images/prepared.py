"""What a machine image has in it of a setup: known before anything is launched from it, so that a plan can say what it
saves. It stands beside the image in its stack's config, as one text among the facts."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping

from attrs import field, frozen

FACT = "prepared"
"""Its name among the facts of a WantedImage."""

_LETTERS = 16
"""How much is kept of a hash: two that differ are the same in one of 2^64 cases."""


@frozen
class Prepared:
    """`seconds` that the setup took when the image was built, and `parts` of what decided about it, hashed with
    `salt`; no part is made of a secret."""

    seconds: float = 0.0
    salt: str = field(default="", repr=False)
    parts: Mapping[str, str] = field(factory=dict)

    def to_text(self) -> str:
        """As the config has it."""
        said = {"seconds": round(self.seconds, 1), "salt": self.salt, "parts": dict(self.parts)}
        return json.dumps(said, sort_keys=True, separators=(",", ":"))


def salt() -> str:
    """A new one."""
    return secrets.token_hex(8)


def hashed(parts: Mapping[str, str], salt: str) -> dict[str, str]:
    """The parts as they are kept."""
    key = salt.encode()
    return {
        name: hmac.new(key, f"{name}\0{value}".encode(errors="surrogateescape"), hashlib.sha256).hexdigest()[:_LETTERS]
        for name, value in parts.items()
    }


def from_text(text: str) -> Prepared | None:
    """What the config says; None where that is nothing that this version can read."""
    try:
        said = json.loads(text)
        return Prepared(float(said["seconds"]), str(said["salt"]), {**said["parts"]})
    except (ValueError, KeyError, TypeError):
        return None


def digest(parts: Mapping[str, str]) -> str:
    """A name for all the parts together."""
    whole = json.dumps(sorted(parts.items()), ensure_ascii=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:32]
