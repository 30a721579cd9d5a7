"""Lightning's Trainer with checkpoints of CheckpointManager: saved while it trains, resumed by themselves.

trainer = Trainer(callbacks=[ManagedCheckpoints("s3://runs/a", every=500)], enable_checkpointing=False)
"""

from __future__ import annotations

import signal
import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from skyrig.checkpoint.manager import CheckpointManager, Restored

# It goes by two names, whose Trainers do not take each other's callbacks: the one that the program has imported counts.
_NAME = "lightning.pytorch" if "lightning" in sys.modules or not find_spec("pytorch_lightning") else "pytorch_lightning"
Callback: Any = import_module(_NAME).Callback


class ManagedCheckpoints(Callback):  # type: ignore[misc]
    """Saves module, optimizers, schedules and the trainer's own counts every `every` optimizer steps, and goes on from
    the newest complete one when `fit` begins. `where` and options are CheckpointManager's; `grace_s` is on_sigterm's.
    """

    def __init__(self, where: Any, *, every: int, grace_s: float | None = None, **options: Any) -> None:
        self.restored: Restored | None = None
        """What `fit` went on from; None where it began anew."""
        self._where, self._grace_s, self._options = where, grace_s, {"every": every, **options}
        self._manager: CheckpointManager | None = None
        self._step = 0

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Trainer calls this, when the optimizers are there."""
        self._handler = signal.getsignal(signal.SIGTERM)
        state = {"module": pl_module, "loops": trainer.fit_loop}
        state |= {f"optimizer{index}": each for index, each in enumerate(trainer.optimizers)}
        state |= {f"schedule{index}": each.scheduler for index, each in enumerate(trainer.lr_scheduler_configs)}
        self._manager = CheckpointManager(self._where, state, **self._options)
        self.restored = self._manager.restore()
        self._step = trainer.global_step

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Trainer calls this, after it took SIGTERM for itself: it would raise, and save nothing."""
        if self._manager and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)
            self._manager.on_sigterm(self._grace_s)

    def on_train_batch_end(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        """Trainer calls this; of batches whose gradients are gathered, only the last one is a step."""
        if self._manager and trainer.global_step != self._step:
            self._step = trainer.global_step
            trainer.should_stop |= self._manager.after_step(self._step)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Trainer calls this, also where training failed. SaveFailed if the last save came to nothing."""
        manager, self._manager = self._manager, None
        if manager:
            manager.close()
