"""Hugging Face's Trainer: its own checkpoints, recorded when they are whole, so that only those are resumed.

callback = RecordedCheckpoints()
callback.on_sigterm()
trainer = Trainer(..., callbacks=[callback])
trainer.train(resume_from_checkpoint=newest_whole(args.output_dir))
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from skyrig.checkpoint.heartbeat import Heartbeat
from skyrig.checkpoint.preemption import Lookout
from skyrig.checkpoint.ranks import Ranks
from skyrig.checkpoint.records import Records
from skyrig.checkpoint.stopping import Notice

log = logging.getLogger("skyrig.checkpoint")

_PREFIX = "trainer"
_FOLDER = re.compile(r"checkpoint-(\d+)")


class RecordedCheckpoints(TrainerCallback):  # type: ignore[misc]
    """Records size and SHA-256 of every file of a checkpoint when Trainer has written it."""

    def __init__(self) -> None:
        self._notice = Notice()
        self._lookout = Lookout()
        self._heartbeat = Heartbeat()
        self._announced = ""
        self._ranks: Ranks | None = None

    def on_sigterm(self, grace_s: float | None = None) -> None:
        """Take SIGTERM as word to save once more and stop, on all ranks after the same step. Main thread only. Word of
        a preemption (docs/preemption.md) only has it save, and needs no call."""
        self._notice.on_sigterm(grace_s)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Trainer calls this."""
        self._ranks = Ranks()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Trainer calls this."""
        self._heartbeat.beat()
        if not self._ranks:
            return
        stop, announced = self._ranks.any_before(self._notice.given, self._lookout.new is not None)
        if stop:
            control.should_save = control.should_training_stop = True
        elif announced:
            self._ranks.settle()
            found = [each for each in self._ranks.gather(self._lookout.new) if each is not None]
            self._lookout.done(each.id for each in found)
            self._announced = str(found[0])
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Trainer calls this."""
        if self._ranks:
            self._ranks.settle()
            self._ranks.gather(None)  # all ranks have written
        if state.is_world_process_zero:
            records = Records(Path(args.output_dir, f"checkpoint-{state.global_step}"), _PREFIX)
            records.add(state.global_step, _PREFIX, records.files(), model_type=type(kwargs.get("model")).__name__)
            if self._notice.given:
                log.warning("told to stop after step %d: it is safe in %s", state.global_step, records.folder)
            elif self._announced:
                log.warning("[skyrig] %s: step %d is safe in %s", self._announced, state.global_step, records.folder)
            self._announced = ""


def newest_whole(output_dir: str) -> str | None:
    """The newest checkpoint of Trainer in there that was recorded and is whole; None if there is none. Those that are
    passed over are told, with the reason."""
    numbered = [(path, _FOLDER.fullmatch(path.name)) for path in Path(output_dir).glob("checkpoint-*")]
    for path in [each for each, found in sorted(numbered, key=lambda pair: _number(pair[1]), reverse=True) if found]:
        records = Records(path, _PREFIX)
        recorded = records.all()
        reason = records.damage(recorded[-1]) if recorded else "it was never completed"
        if not reason:
            return str(path)
        log.warning("%s is not loaded: %s", path, reason)
    return None


def _number(found: re.Match[str] | None) -> int:
    return int(found[1]) if found else -1
