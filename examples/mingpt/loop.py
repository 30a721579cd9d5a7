"""The run from start to end: text, model, steps, checkpoints, and what it all came to."""

import math
import os
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import checkpoint
import data
import huggingface
import torch
import world
from model import GPT, Sizes
from torch import Tensor
from trainer import Ddp, DeepSpeed, Trainer

_WARM_UP = 20
_LOWEST_RATE = 0.1
_SAY_LESS = 5
"""Ranks other than 0 print one progress line where rank 0 prints this many."""
_MEASURED_BATCHES = 10


def run(given: Namespace) -> int:
    """Train as the command line says; the exit code."""
    world.join()
    found = None if given.fresh else checkpoint.load(given.out / checkpoint.NAME)
    text = world.from_rank_0(data.library_text(given.text).encode() if world.rank() == 0 else b"").decode()
    vocabulary = found["vocabulary"] if found else data.vocabulary_of(text)
    training, held_out = data.split(data.encode(text, vocabulary))
    torch.manual_seed(given.seed)
    model = GPT(Sizes(**found["sizes"]) if found else Sizes(len(vocabulary))).to(world.device())
    _introduce(training, model, vocabulary)
    trainer: Trainer = DeepSpeed(model, given.deepspeed, given.batch) if given.deepspeed else Ddp(model)
    first = _resume(trainer, found, given)
    header = {"vocabulary": vocabulary, "sizes": model.sizes.to_dict(), "trainer": type(trainer).__name__}
    _steps(trainer, training, model.sizes.context, first, header, given)
    _conclude(model, training, held_out, header, given)
    world.leave()
    return 0


def _introduce(training: Tensor, model: GPT, vocabulary: str) -> None:
    weights = sum(weight.numel() for weight in model.parameters())
    print(f"rank {world.rank()} of world size {world.size()} on {world.device()}", flush=True)
    _say(
        f"{len(training)} characters to train on, {len(vocabulary)} in the vocabulary, {weights} weights; "
        f"unigram entropy {data.unigram_entropy(training):.3f} nats"
    )


def _resume(trainer: Trainer, found: dict[str, Any] | None, given: Namespace) -> int:
    """Steps already done."""
    if not found:
        return 0
    if found["trainer"] != type(trainer).__name__:
        raise SystemExit(f"{given.out}: the checkpoint is one of {found['trainer']}; take another --out, or --fresh")
    trainer.restore(found["state"])
    _say(f"resuming after step {found['step']} from {given.out}")
    return int(found["step"])


def _steps(
    trainer: Trainer, training: Tensor, context: int, first: int, header: dict[str, Any], given: Namespace
) -> None:
    """All steps after `first`; a checkpoint every so often and at the end."""
    since, counted = time.monotonic(), first
    for step in range(first + 1, given.steps + 1):
        seed = (given.seed * 1_000_003 + step) * world.size() + world.rank()
        tokens, targets = data.batch(training, given.batch, context, seed, world.device())
        loss = trainer.step(tokens, targets, _rate(step, given))
        if step % given.log_every == 0 or step == given.steps:
            average = world.mean(loss)
            speed = (step - counted) * tokens.numel() * world.size() / (time.monotonic() - since)
            _progress(step, average, speed, given)
            since, counted = time.monotonic(), step
        if step % given.save_every == 0 or step == given.steps:
            state = trainer.state()
            if world.rank() == 0:
                checkpoint.save({**header, "step": step, "state": state}, given.out / checkpoint.NAME)


def _progress(step: int, loss: float, speed: float, given: Namespace) -> None:
    often = given.log_every * (1 if world.rank() == 0 else _SAY_LESS)
    if step % often == 0 or step == given.steps:
        print(f"step {step}/{given.steps} loss {loss:.3f} tokens/s {speed:.0f}", flush=True)


def _rate(step: int, given: Namespace) -> float:
    """Learning rate of a step: a short rise, then half a cosine down to a tenth."""
    if step <= _WARM_UP:
        return float(given.lr * step / _WARM_UP)
    done = (step - _WARM_UP) / max(1, given.steps - _WARM_UP)
    return float(given.lr * (_LOWEST_RATE + (1 - _LOWEST_RATE) * 0.5 * (1 + math.cos(math.pi * done))))


@torch.no_grad()
def _conclude(model: GPT, training: Tensor, held_out: Tensor, header: dict[str, Any], given: Namespace) -> None:
    """Measure on the text that was held out, all processes together, and keep the model by itself."""
    model.eval()
    losses = []
    for number in range(_MEASURED_BATCHES):
        seed = number * world.size() + world.rank()
        losses.append(model(*data.batch(held_out, given.batch, model.sizes.context, seed, world.device())))
    loss = world.mean(torch.stack(losses).mean())
    entropy = data.unigram_entropy(training)
    verdict = "below it: more than letter frequencies was learnt" if loss < entropy else "not below it: train longer"
    _say(f"val loss {loss:.3f}, unigram entropy {entropy:.3f} nats; {verdict}")
    if world.rank() == 0:
        kept = given.out / checkpoint.MODEL
        checkpoint.save({**header, "model": model.state_dict()}, kept)
        _say(f"model in {_short(kept)}")
        _hand_over(model, header["vocabulary"], given)


def _hand_over(model: GPT, vocabulary: str, given: Namespace) -> None:
    """Save the model as serving engines read it, to SKYRIG_MODEL_DIR if that is set."""
    folder = Path(os.environ.get("SKYRIG_MODEL_DIR") or given.out / huggingface.FOLDER).expanduser()
    try:
        huggingface.save(model, vocabulary, folder)
    except ImportError as error:
        _say(f"no model to serve was written: {error.name} is not installed")
    else:
        _say(f"model to serve in {_short(folder)}")


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _say(line: str) -> None:
    if world.rank() == 0:
        print(line, flush=True)
