"""Each cloud's one life, and an end to it where a step fails."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from life import Life
from user import end_nodes
from worlds import load


@pytest.fixture(scope="module")
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The life of a cluster on the cloud of the test's parameter: its tests are steps, in order."""
    cloud = str(request.param)
    made = load(cloud)
    assert made is not None, f"tests/clouds/{cloud}/world.py is missing (see tests/conformance/worlds.py)"
    folder = tmp_path_factory.mktemp(cloud)
    with made(folder) as world:
        life = Life(cloud, world, folder, f"c{time.monotonic_ns() % 1000000}")
        try:
            yield life
        finally:
            end_nodes(life.user.home)


@pytest.fixture(autouse=True)
def _in_order(request: pytest.FixtureRequest) -> None:
    """A step after one that failed says nothing."""
    if "life" in request.fixturenames and (broken := request.getfixturevalue("life").broken):
        pytest.skip(f"{broken} failed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note the step that failed."""
    report = yield
    life = getattr(item, "funcargs", {}).get("life")
    if report.failed and isinstance(life, Life) and not life.broken:
        life.broken = item.name
    return report
