"""Lets the tests of this cloud find what the tests of all clouds share; a Resource Manager that this process asks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from azure_stack import ACCOUNT
from manager import Manager, serve

from skyrig.clouds.azure import arm


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Manager]:
    """Resource Manager with one subscription, which this process asks."""
    found = Manager(subscriptions={ACCOUNT})
    found.said[f"/subscriptions/{ACCOUNT}"] = {"displayName": "lab", "state": "Enabled"}
    server = serve(found)
    monkeypatch.setenv(arm.LOOPBACK, found.address)
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", ACCOUNT)
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    yield found
    server.shutdown()
    server.server_close()
