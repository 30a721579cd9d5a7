"""A real Kubernetes on this machine, one for the session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).with_name("lab")))

import lab_programs
from kubernetes_lab import Lab
from lab_nodes import CPU, H100


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three nodes without and two with GPUs, whose pods run; see lab/README.md."""
    if lacking := lab_programs.missing():
        pytest.skip(lacking)
    nodes = [*(CPU.named(f"cpu-{n}") for n in (1, 2, 3)), *(H100.named(f"h100-{n}", mode="run") for n in (1, 2))]
    with Lab(tmp_path_factory.mktemp("lab"), nodes) as up:
        yield up
