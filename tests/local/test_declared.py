"""Accelerators that a local node only declares."""

from __future__ import annotations

from local_programs import LocalPrograms


def test_programs_on_a_node_count_what_it_declares(programs: LocalPrograms, stack_name: str, best_level: str) -> None:
    accelerators = {"name": "L4", "count": 4, "declared": True}
    made = programs.start(stack_name, 0, best_level, accelerators=accelerators)
    assert str(programs.inside(made, "nvidia-smi -L | wc -l", check=True).stdout).strip() == "4"
    query = "nvidia-smi --query-gpu=memory.total --format=csv,noheader -i 0"
    assert str(programs.inside(made, f"bash -lc '{query}'", check=True).stdout).strip() == "23034 MiB"
    assert programs.inside(made, "nvidia-smi").exit_status == 9
