"""Machines that were made a moment ago, and let nobody in yet."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from foreign_nodes import ForeignNode, Lab, Machine, Python

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.launch import link

LONG_S = 3.0
"""How long a machine is away."""


@pytest.fixture
def pair(old_pythons: list[Python], unpacked: Path, home: Path, tmp_path: Path) -> Iterator[Lab]:
    """Two machines of which the head has had most of the runtime before."""
    (tmp_path / "lab").mkdir()
    made = Lab(tmp_path / "lab", [Machine(name, old_pythons[0]) for name in ("n0", "n1")])
    try:
        made.head.path(".skyrig").mkdir(mode=0o700)
        subprocess.run(["cp", "-a", str(unpacked), str(made.head.path(".skyrig/layers"))], check=True)
        with made.entered():
            yield made
    finally:
        made.close()


def met(desc: ClusterDescription) -> list[str]:
    """Have the cluster's keeper at work as who wants to run something; what was said meanwhile."""
    said: list[str] = []

    async def once() -> None:
        async with link.keeper(desc, patience_s=link.patience(desc), prepare=True, notify=said.append):
            pass

    asyncio.run(once())
    return said


def away(node: ForeignNode) -> None:
    """Take a machine off its network, and put it back a little later."""
    node.run("ip link set eth0 down")
    threading.Timer(LONG_S, lambda: node.run("ip link set eth0 up")).start()


def test_a_first_boot_is_waited_for_and_told(pair: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "BOOT_PATIENCE_S", 1.0)
    monkeypatch.setattr(link, "_TOLD_AFTER_S", 0.5)
    desc = pair.description("fresh")
    assert link.patience(desc) == link.FIRST_PATIENCE_S
    away(pair.nodes[1])
    away(pair.head)
    told = [line for line in met(desc) if "a first boot is waited for" in line]
    assert told[0] == "n0 (the head): nobody is let in yet; a first boot is waited for, up to 10 minutes"
    assert told[1:] in ([], ["n0, n1: nobody is let in yet; a first boot is waited for, up to 10 minutes"])

    assert link.patience(desc) == 1.0
    pair.head.run("ip link set eth0 down")
    with pytest.raises(SkyrigError, match=r"n0 at .* does not answer"):
        met(desc)

    again = evolve(desc, nodes=(evolve(desc.head, boot="another"), *desc.nodes[1:]))
    assert link.patience(again) == link.FIRST_PATIENCE_S
    assert link.patience(evolve(desc, isolation="namespaces")) == 1.0
