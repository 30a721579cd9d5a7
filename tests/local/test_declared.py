"""Accelerators that a local node only declares."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from local_programs import LocalPrograms

from skyrig.fleet.local import ailing
from skyrig.fleet.local.layout import LocalNodeError
from skyrig.launch import nodeside
from skyrig.preflight.findings import Findings


def test_programs_on_a_node_count_what_it_declares(programs: LocalPrograms, stack_name: str, best_level: str) -> None:
    accelerators = {"name": "L4", "count": 4, "declared": True}
    made = programs.start(stack_name, 0, best_level, accelerators=accelerators)
    assert str(programs.inside(made, "nvidia-smi -L | wc -l", check=True).stdout).strip() == "4"
    query = "nvidia-smi --query-gpu=memory.total --format=csv,noheader -i 0"
    assert str(programs.inside(made, f"bash -lc '{query}'", check=True).stdout).strip() == "23034 MiB"
    assert programs.inside(made, "nvidia-smi").exit_status == 9


def test_a_node_that_is_not_well_is_seen_so(programs: LocalPrograms, stack_name: str, best_level: str) -> None:
    accelerators = {"name": "L4", "count": 4, "declared": True}
    made = programs.start(stack_name, 0, best_level, accelerators=accelerators)
    folder = programs.stack(stack_name) / made["node_id"]
    well = looked(programs, made)
    assert [(each.kind, each.name) for each in well.accelerators] == [("declared", "L4")] * 4
    assert abs(well.clock - time.time()) < 20 and well.problems == ()

    ailing.hide(folder, 3)
    ailing.set_clock(folder, -3600)
    ill = looked(programs, made)
    assert [each.index for each in ill.accelerators] == [0] and len(ill.problems) == 3
    assert abs(ill.clock + 3600 - time.time()) < 20
    assert (ailing.hidden(folder), ailing.clock(folder)) == (3, -3600)
    with pytest.raises(LocalNodeError, match="declares 4 accelerators, 5 cannot be hidden"):
        ailing.hide(folder, 5)

    ailing.hide(folder, 0)
    ailing.set_clock(folder, 0)
    assert len(looked(programs, made).accelerators) == 4


def looked(programs: LocalPrograms, node: Mapping[str, Any]) -> Findings:
    """What the probe says inside a node."""
    command, stdin = nodeside.probe()
    return Findings.read(str(programs.inside(node, command, check=True, input=stdin.decode()).stdout))
