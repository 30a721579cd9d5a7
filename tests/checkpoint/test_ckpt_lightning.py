"""Lightning's real Trainer, resumed and told to stop.

What needs torch and Lightning is imported by the tests alone: it takes seconds, and every worker collects this file.
"""

from __future__ import annotations

import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

NEEDED = ("torch", "pytorch_lightning")
pytestmark = pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason="needs the sets torch and lora")


def test_a_run_goes_on_as_the_same_run(tmp_path: Path) -> None:
    import torch
    from ckpt_lightning import Model, fit

    from skyrig.checkpoint.lightning import ManagedCheckpoints

    whole = Model()
    fit(whole, epochs=4)
    first = ManagedCheckpoints(tmp_path, every=8)
    assert fit(Model(), first, epochs=2).global_step == 16 and first.restored is None
    second = ManagedCheckpoints(tmp_path, every=8)
    resumed = Model()
    trainer = fit(resumed, second, epochs=4)
    assert second.restored is not None and second.restored.step == 16
    assert (trainer.global_step, trainer.current_epoch, resumed.seen) == (32, 4, [*range(16, 32)])
    assert torch.equal(resumed.layer.weight, whole.layer.weight)
    assert resumed.lr_schedulers().get_last_lr() == whole.lr_schedulers().get_last_lr()


def test_sigterm_in_the_middle_of_an_epoch_saves_once_more(tmp_path: Path) -> None:
    from ckpt_lightning import Model, fit

    from skyrig.checkpoint.lightning import ManagedCheckpoints

    before = signal.getsignal(signal.SIGTERM)
    told = Model(signal_at=5)
    assert fit(told, ManagedCheckpoints(tmp_path, every=100), accumulate_grad_batches=1).global_step == 5
    assert signal.getsignal(signal.SIGTERM) is before
    resumed, callback = Model(), ManagedCheckpoints(tmp_path, every=100)
    assert fit(resumed, callback).global_step == 24
    assert callback.restored is not None and callback.restored.step == 5
    assert resumed.seen == [*range(5, 24)]


def test_batches_whose_gradients_are_gathered_are_one_step(tmp_path: Path) -> None:
    from ckpt_lightning import Model, fit

    from skyrig.checkpoint.lightning import ManagedCheckpoints

    assert fit(Model(), ManagedCheckpoints(tmp_path, every=1, keep=100), accumulate_grad_batches=2).global_step == 12
    assert len(list(tmp_path.glob("step-*"))) == 12
