"""Machines of the user's own for all tests of this folder, and somebody who has them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve
from own_machines import OwnMachines, Python, machines
from user import User, end_nodes

_MB = 2000
_WRAPPER = "mkdir -p /usr/local/bin; printf '#!/bin/sh\\nexec {python} \"$@\"\\n' >/run/python3; "
_PUT = "chmod 755 /run/python3; ln -sf /run/python3 /usr/local/bin/python3"


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnMachines]:
    """Three machines, of which one is reached from here. Their python3 is the one that runs the tests: it has torch."""
    ours = Python(Path(sys.base_prefix), f"{sys.version_info.major}.{sys.version_info.minor}")
    listed = [evolve(each, python=ours, shown=(Path(sys.prefix),), home_mb=_MB) for each in machines(3)]
    with OwnMachines(tmp_path_factory.mktemp("own"), listed) as made:
        for node in made.lab.nodes:
            node.run(_WRAPPER.format(python=Path(sys.prefix) / "bin" / "python") + _PUT)
        yield made


@pytest.fixture
def person(own: OwnMachines, tmp_path: Path) -> Iterator[Callable[[str], User]]:
    """Makes somebody who has these machines in their inventory, with a stack of some name."""
    homes: list[Path] = []

    def make(name: str, inventory: Path | None = None) -> User:
        user = User(tmp_path / name, name)
        user.env["SKYRIG_SSH_MACHINES"] = str(inventory or own.file)
        homes.append(user.home)
        return user

    yield make
    for home in homes:
        end_nodes(home)
