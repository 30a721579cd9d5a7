"""A server and a bucket that an engine was making when it was killed: taken over where wanted, else ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from bucket_user import KEYS

from skyrig import places
from skyrig.cluster.buckets import Bucket
from skyrig.cluster.shape import Shape
from skyrig.stack import pending
from skyrig.stack.pending import Create
from skyrig.storage.local import buckets, server

pytestmark = pytest.mark.e2e

WANTED = Shape(nodes=(), buckets=(Bucket("half-made"),))
OTHER = Shape(nodes=(), buckets=(Bucket("another-one"),))


def found(kind: str, wanted: Shape | None) -> str:
    """What is said of a create of that kind that was cut off."""
    create = Create(f"urn:pulumi:one::skyrig::{kind}::x", f"pulumi-python:dynamic/skyrig:{kind}",
                    {"stack": "one", "bucket": "half-made"})  # fmt: skip
    resolver = pending.resolver_of(create)
    assert resolver is not None
    return resolver(create, wanted).says


def test_what_is_wanted_is_taken_over_and_what_is_not_goes(home: Path) -> None:
    folder = places.storage("one")
    assert "no such server" in found("LocalStore", WANTED) and "no such bucket" in found("LocalBucket", WANTED)
    server.ensure("one", KEYS)
    made = Path(buckets.make(folder, "half-made", KEYS)["folder"])
    assert "taken over" in found("LocalStore", WANTED) and "taken over" in found("LocalBucket", WANTED)
    (made / "x").write_text("x")
    assert "it stays" in found("LocalBucket", OTHER) and (made / "x").exists()
    (made / "x").unlink()
    assert "removed" in found("LocalBucket", None) and not made.exists()
    assert "ended" in found("LocalStore", None) and not folder.exists()
    assert "nothing of it exists" in found("LocalStoreKey", None)
