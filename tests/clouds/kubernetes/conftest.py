"""A real Kubernetes on this machine, one for all tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).with_name("lab")))

import lab_images
import lab_programs
from kubernetes_lab import Lab
from lab_nodes import CPU, H100

_OPEN: list[Lab] = []


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Three nodes without and two with GPUs, whose pods run; see lab/README.md."""
    if lacking := lab_programs.missing():
        pytest.skip(lacking)
    nodes = [*(CPU.named(f"cpu-{n}") for n in (1, 2, 3)), *(H100.named(f"h100-{n}", mode="run") for n in (1, 2))]
    if not _OPEN:
        images = {lab_images.TORCH: lab_images.torch()}
        _OPEN.append(Lab(tmp_path_factory.mktemp("lab"), nodes, images=images).__enter__())
    return _OPEN[0]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last test of this folder nobody needs the lab: an API server without anything to do takes a tenth of a
    core from those that come."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        _close()


def _close() -> None:
    while _OPEN:
        _OPEN.pop().close()
