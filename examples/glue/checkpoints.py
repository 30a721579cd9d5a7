"""Which checkpoints are whole. A machine that is taken away in the middle of a save leaves one that is not.

Trainer's checkpoint is a folder of many files, which a bucket may get in any order and from several nodes. So each
rank notes, when all have written, which files it sees and how large they are; a run goes on from the newest checkpoint
of which every rank has left its note and every file that was noted is there. Old ones go when a newer one is whole,
by their steps: Trainer itself would go by folders' times, which a bucket does not keep, and before the newer is whole.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from torch import distributed as dist
from transformers import TrainerCallback


class Noted(TrainerCallback):
    """Leaves the notes, keeps so many checkpoints, and says how the training goes."""

    def __init__(self, keep: int) -> None:
        self._keep = keep

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Trainer calls this."""
        if state.is_world_process_zero and logs and "loss" in logs:
            rate, loss = float(logs["learning_rate"]), float(logs["loss"])
            print(f"step {state.global_step}/{state.max_steps} loss {loss:.4f} lr {rate:.3g}", flush=True)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Trainer calls this, on every rank."""
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        _together(None)  # all have written
        sizes = {str(file.relative_to(folder)): file.stat().st_size for file in _files(folder)}
        note = json.dumps({"ranks": args.world_size, "files": sizes})
        Path(folder, f"whole-{args.process_index}.json").write_text(note)
        _together(None)  # all have noted
        if state.is_world_process_zero:
            for _, old in sorted(_by_step(folder.parent).items())[: -self._keep]:
                shutil.rmtree(old, ignore_errors=True)


def newest_whole(out: Path) -> str | None:
    """The newest checkpoint in `out` that is whole in the eyes of every rank; None where there is none. What is newer
    is removed. All ranks must call it, and get the same."""
    steps = _by_step(out)
    seen = {step for step, folder in steps.items() if _whole(folder)}
    common = set.intersection(*_together(seen))
    best = max(common, default=0)
    if int(os.environ.get("RANK", "0")) == 0:
        for step in steps.keys() - set(range(best + 1)):
            shutil.rmtree(steps[step], ignore_errors=True)
        print(f"resuming after step {best}" if best else "no checkpoint yet: step 1 is the first", flush=True)
    _together(None)
    return str(steps[best]) if best else None


def _by_step(out: Path) -> dict[int, Path]:
    return {int(folder.name.partition("-")[2]): folder for folder in out.glob("checkpoint-*")}


def _whole(folder: Path) -> bool:
    try:
        notes = [json.loads(note.read_text()) for note in folder.glob("whole-*.json")]
    except ValueError:  # a note that was cut
        return False
    if not notes or len(notes) != notes[0]["ranks"]:
        return False
    there = {str(file.relative_to(folder)): file.stat().st_size for file in _files(folder)}
    return all(note["files"].items() <= there.items() for note in notes)


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("whole-")]


def _together(value: Any) -> list[Any]:
    """The values of all ranks, which wait for one another here."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
