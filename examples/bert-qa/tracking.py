"""One run in Weights & Biases over all attempts of a job: its id is the task's, which stays when nodes do not.

Offline, W&B writes into a file on the node, which goes with the node; so each checkpoint takes a copy of it along, as
far as W&B has written it by then. `wandb sync` of the copies brings all of them into the one run.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback


def name() -> str:
    """What the run is called, and its id."""
    return os.environ.get("SKYPILOT_TASK_ID") or "local"


def prepare(project: str) -> None:
    """Have W&B go on with the run of that id where there is one."""
    os.environ |= {"WANDB_RUN_ID": name(), "WANDB_NAME": name(), "WANDB_RESUME": "allow", "WANDB_SILENT": "true"}
    os.environ.setdefault("WANDB_PROJECT", project)


class Kept(TrainerCallback):
    """Says which run it is, and copies what W&B has written offline into `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Trainer calls this, after its own callback for W&B."""
        if state.is_world_process_zero:
            import wandb

            mode = "offline" if wandb.run.settings._offline else "online"
            print(f"W&B run {wandb.run.id} ({mode}), attempt {os.environ.get('SKYRIG_ATTEMPT', '1')}", flush=True)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Trainer calls this."""
        if state.is_world_process_zero:
            import wandb

            self._copy(wandb.run)

    def finish(self) -> None:
        """Have W&B write all it has, and copy that; nothing is logged after it."""
        import wandb

        if wandb.run is not None:
            run = wandb.run
            run.finish()
            self._copy(run)

    def _copy(self, of: Any) -> None:
        if not of.settings._offline:
            return
        run = Path(of.settings.sync_file)
        beside = self._folder / run.parent.name
        beside.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run, beside / run.name)
