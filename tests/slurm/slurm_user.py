"""Somebody who launches on a Slurm cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from slurm_cluster import SlurmCluster
from user import Result, User


class SlurmUser(User):
    """Their stack is called `hpc`, as the cluster in their config; `there` is their home on it."""

    def __init__(self, folder: Path, there: Path, slurm: SlurmCluster) -> None:
        super().__init__(folder, "hpc")
        self.folder, self.there, self.slurm = folder, there, slurm
        self.env["SKYRIG_SLURM_CONFIG"] = str(there / "slurm_config")

    @property
    def base(self) -> Path:
        """Our folder on the shared file system."""
        return self.there / ".skyrig" / "slurm" / self.stack

    def task(self, name: str, run: str, **more: Any) -> str:
        """A task file."""
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump({"name": name, "run": run, **more}))
        return str(file)

    def launch(self, name: str, run: str, *words: str, check: int | None = 0, **more: Any) -> Result:
        """Launch a task and follow it."""
        return self.run("launch", self.task(name, run, **more), "-c", self.stack, *words, check=check, timeout=240)

    def job(self, number: int | None = None) -> dict[str, Any]:
        """One row of the queue, the newest one without a number."""
        rows = self.jobs()
        return rows[-1] if number is None else next(row for row in rows if row["id"] == number)

    def folder_of(self, number: int) -> Path:
        """The job's folder."""
        return next(each.parent for each in self.base.glob("jobs/*/id") if each.read_text() == str(number))
