"""The example's modules, and models of theirs in Hugging Face's form. Models are brought home from the nodes that the
keeper's tests have."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from engine_server import EXAMPLE

sys.path.insert(0, str(Path(__file__).parents[1] / "keeper"))

MODULES = ("world", "checkpoint", "data", "model", "huggingface", "trainer", "loop")


@pytest.fixture(scope="session")
def mingpt() -> Iterator[SimpleNamespace]:
    """The example's modules, out of the way of others: their names are common ones."""
    pytest.importorskip("torch")
    sys.path.insert(0, str(EXAMPLE))
    found = SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    sys.path.remove(str(EXAMPLE))
    for name in MODULES:
        del sys.modules[name]
    yield found
