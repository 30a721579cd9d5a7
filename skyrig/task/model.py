"""A task as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import field, frozen

from skyrig.cluster.description import Accelerators


@frozen
class Resources:
    """What one node shall have. `cpus` in cores and `memory_gb` in GiB, 0 where nothing is asked; `cloud` is "" where
    any will do. `elsewhere` holds the fields that say nothing on the local cloud (region, use_spot, ...)."""

    accelerators: Accelerators = field(factory=Accelerators)
    cpus: float = 0
    memory_gb: float = 0
    cloud: str = ""
    elsewhere: dict[str, Any] = field(factory=dict)

    @property
    def needs_cloud(self) -> bool:
        """Whether the local cloud can only rehearse this: it names accelerators or another cloud."""
        return self.accelerators.count > 0 or self.cloud not in ("", "local")


@frozen
class Task:
    """One task file. Texts of `setup` and `run` are the user's own, to the byte; `workdir` is None where nothing is
    synced. `env` and `secrets` are complete: null values were filled in or refused."""

    name: str = ""
    num_nodes: int = 1
    workdir: Path | None = None
    env: dict[str, str] = field(factory=dict)
    secrets: dict[str, str] = field(factory=dict, repr=False)
    resources: Resources = field(factory=Resources)
    setup: str = ""
    run: str = ""
