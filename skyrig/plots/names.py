"""The numbers that are known, and how training programs spell them. Nothing else of a log is ever shown in a picture.

Sources of the spellings: transformers' Trainer (its dictionaries, and what trainer_state.json has), Lightning's
progress bar, DeepSpeed's `step=`, `lr=` and SamplesPerSec, Megatron's `lm loss`, torchtitan's `tps`, nanoGPT's `iter`,
Keras, and this project's own examples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

LOSS, VAL_LOSS, RATE, GRADIENT = "loss", "val loss", "learning rate", "gradient norm"
TOKENS, SAMPLES, STEPS = "tokens/s", "samples/s", "steps/s"

KNOWN = (LOSS, VAL_LOSS, TOKENS, SAMPLES, STEPS, RATE, GRADIENT)
"""Curves, in the order in which they are told."""

THROUGHPUTS = (TOKENS, SAMPLES, STEPS)
"""Of these the first that is there is drawn."""

STEP, EPOCH = "step", "epoch"
"""Places on the axis."""

SECONDS, MILLISECONDS = "seconds a step", "milliseconds a step"
"""Numbers that are turned into STEPS."""

RUNTIME = "runtime"
"""A summary of the whole run stands beside it, whose loss is no point of a curve."""

_SPELLED: Mapping[str, tuple[str, ...]] = {
    LOSS: (
        "loss", "train_loss", "training_loss", "lm_loss", "loss_train", "avg_loss", "running_loss", "batch_loss",
        "loss_step", "train_loss_step", "step_loss", "total_loss", "reduced_train_loss", "avr_loss",
    ),
    VAL_LOSS: (
        "val_loss", "eval_loss", "valid_loss", "validation_loss", "test_loss", "loss_val", "loss_eval", "dev_loss",
        "lm_loss_value",
    ),
    RATE: ("lr", "learning_rate", "train_learning_rate", "train_lr"),
    GRADIENT: ("grad_norm", "gradient_norm", "train_grad_norm"),
    TOKENS: (
        "tokens_s", "tokens_sec", "tokens_second", "tokens_per_s", "tokens_per_sec", "tokens_per_second", "tok_s",
        "toks_s", "tok_sec", "tps", "train_tokens_per_second", "step_tokens_per_second", "tokens_train_per_sec",
    ),
    SAMPLES: (
        "samples_s", "samples_sec", "samples_second", "samples_per_s", "samples_per_sec", "samples_per_second",
        "train_samples_per_second", "samplespersec", "currsamplespersec", "examples_s", "examples_sec",
        "examples_per_second", "images_s", "images_sec", "images_per_second", "imgs_s", "img_s", "img_sec",
        "sequences_s", "sentences_s", "sentences_sec",
    ),
    STEPS: (
        "steps_s", "steps_sec", "steps_per_s", "steps_per_sec", "steps_per_second", "train_steps_per_second", "it_s",
        "iter_s", "iters_s", "iter_sec", "iterations_s", "batches_s", "batch_s", "global_step_sec",
    ),
    STEP: (
        "step", "steps", "global_step", "train_global_step", "iter", "iters", "iteration", "iterations", "train_step",
        "trainer_global_step", "current_steps", "num_updates",
    ),
    EPOCH: ("epoch", "train_epoch"),
    SECONDS: (
        "step_time", "iter_time", "iter_time_s", "step_time_s", "sec_it", "s_it", "s_step", "sec_step", "s_iter",
        "s_batch", "dt", "iter_dt", "step_avg", "train_step_timing_in_s",
    ),
    MILLISECONDS: (
        "elapsed_time_per_iteration_ms", "iter_time_ms", "step_time_ms", "ms_step", "ms_it", "ms_iter",
        "ms_batch", "time_ms",
    ),
    RUNTIME: ("train_runtime",),
}  # fmt: skip

BY_SPELLING: Mapping[str, str] = {spelled: name for name, forms in _SPELLED.items() for spelled in forms}
"""What a spelling means: small letters, `_` for whatever stands between words."""


_OF_EACH = re.compile(r"_(?:per_)?(?:gpu|device|chip)$")
"""Some programs tell what one device does; it is drawn as it is."""


def meaning(spelled: str) -> str | None:
    """The known name that is spelled so (`Train Loss`, `train/loss`, `samples/sec`); None for what is not known."""
    folded = "_".join("".join(each if each.isalnum() else " " for each in spelled.lower()).split())
    of_one = BY_SPELLING.get(_OF_EACH.sub("", folded))
    return BY_SPELLING.get(folded) or (of_one if of_one in THROUGHPUTS else None)
