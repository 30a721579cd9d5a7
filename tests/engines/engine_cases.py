"""Tasks that serve a model, by the name of their golden folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from skyrig.cluster.description import Accelerators
from skyrig.serve import engines
from skyrig.task.model import Task

H100 = Accelerators("H100", 8)


def cases(folder: Path) -> dict[str, Callable[[], Task]]:
    """The cases; `folder` is one in which a model of one's own lies, called `mine`."""
    return {
        "transformers_folder_here": lambda: engines.task(str(folder / "mine"), served_name="mine"),
        "transformers_path_on_the_nodes": lambda: engines.task("/mnt/models/o'brien"),
        "vllm_hub_id": lambda: engines.task("Qwen/Qwen3-0.6B", accelerators=H100),
        "vllm_two_nodes": lambda: engines.task(
            "~/sky_models/large", accelerators=H100, num_nodes=2, arguments=("--max-model-len", "4096", "--x=$(id)")
        ),
        "sglang_one_gpu": lambda: engines.task("/data/m", engine="sglang", accelerators=Accelerators("L4", 1)),
        "sglang_two_nodes": lambda: engines.task("meta/m", engine="sglang", accelerators=H100, num_nodes=2),
    }


CASES = tuple(cases(Path("/nowhere")))
"""Their names."""
