"""`save_checkpoint` and `load_checkpoint` around a program's own functions, as SkyPilot's training guide writes them.

They do without torch: what a call wrote is found by looking at the folder before and after, whatever it is named. A
record with size and SHA-256 of each file is written last, so only what was saved whole is loaded.
"""

from __future__ import annotations

import functools
import inspect
import logging
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from skyrig.checkpoint.failures import CheckpointsDamaged
from skyrig.checkpoint.records import Records
from skyrig.errors import BadInput

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("skyrig.checkpoint")

_NUMBERED = re.compile(r"(?:.*[_-])?(\d+)", re.DOTALL)


def save_checkpoint(
    save_dir: str, max_checkpoints: int = 5, checkpoint_prefix: str = "checkpoint"
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function that saves into `save_dir`; its `step`, by name or as first argument, numbers what it wrote.

    After each call a record is written beside it, `PREFIX_step_STEP_metadata.json`, and of the steps that this function
    saved all but the newest `max_checkpoints` are removed with their records. If the function raises, it is not called
    again and nothing is recorded: the error is the caller's, and older checkpoints stay. A call without a whole number
    as step, or that writes nothing in there (on ranks but the first, say), is only a call.
    """
    if max_checkpoints < 1:
        raise BadInput(f"max_checkpoints={max_checkpoints}: at least 1 is wanted")

    def decorator(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)
        name = function.__qualname__

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            given = dict(signature.bind_partial(*args, **kwargs).arguments)
            step = _step(given)
            if step is None:
                return function(*args, **kwargs)
            records = Records(Path(save_dir), checkpoint_prefix)
            records.folder.mkdir(parents=True, exist_ok=True)
            before = records.files()
            result = function(*args, **kwargs)
            written = [path for path, stamp in records.files().items() if before.get(path) != stamp]
            if written:
                records.add(step, name, written, model_type=_model_type(given))
                records.prune(name, max_checkpoints)
                log.info("saved step %d: %s", step, ", ".join(sorted(written)))
            return result

        return wrapper

    return decorator


def load_checkpoint(
    save_dir: str, checkpoint_prefix: str = "checkpoint"
) -> Callable[[Callable[P, T]], Callable[P, T | None]]:
    """Decorate a function that loads from `save_dir`: it is called with the newest `step`, not the one it was given; if
    that one is not whole, or the function raises, with the one before, and so on, each with a warning.

    What `save_checkpoint` recorded is checked first. In a folder without any record, steps are taken from file names
    (`NAME_STEP.EXT`). With nothing there, the function is called as it was; if it finds no file either, the answer is
    None: a first run. CheckpointsDamaged, with all reasons, if there are checkpoints and none loads.
    """

    def decorator(function: Callable[P, T]) -> Callable[P, T | None]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T | None:
            reasons = []
            for step, reason in _steps(Records(Path(save_dir), checkpoint_prefix)):
                if not reason:
                    try:
                        found = _call(function, signature, step, args, kwargs)
                    except Exception as error:  # noqa: BLE001  (whatever it is: the one before may load)
                        reason = f"{type(error).__name__}: {error}"
                    else:
                        log.info("loaded step %d from %s", step, save_dir)
                        return found
                reasons.append(f"step {step}: {reason}")
                log.warning("step %d in %s is not loaded: %s", step, save_dir, reason)
            if reasons:
                raise CheckpointsDamaged(f"no checkpoint in {save_dir} could be loaded: {'; '.join(reasons)}")
            log.warning("no checkpoints in %s", save_dir)
            try:
                return function(*args, **kwargs)
            except FileNotFoundError:
                return None

        return wrapper

    return decorator


def _steps(records: Records) -> Iterator[tuple[int, str]]:
    """Steps, newest first, each with the reason why it must not be loaded, if there is one."""
    recorded = records.all()
    if recorded:
        for record in reversed(recorded):
            yield record.step, records.damage(record)
        return
    numbered = (_NUMBERED.fullmatch(Path(name).name.partition(".")[0]) for name in records.files())
    for step in sorted({int(each[1]) for each in numbered if each}, reverse=True):
        yield step, ""


def _call(function: Callable[..., T], signature: inspect.Signature, step: int, args: Any, kwargs: Any) -> T:
    """The function with this step in the place of its own."""
    if "step" in signature.parameters:
        given = signature.bind_partial(*args, **kwargs)
        given.arguments["step"] = step
        return function(*given.args, **given.kwargs)
    if "step" in kwargs or not args:
        return function(*args, **{**kwargs, "step": step})
    return function(step, *args[1:], **kwargs)


def _step(given: Mapping[str, Any]) -> int | None:
    value = given["step"] if "step" in given else next(iter(given.values()), None)
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _model_type(given: Mapping[str, Any]) -> str:
    values = list(given.values())
    model = given.get("model", values[1] if len(values) > 1 else None)
    return type(model).__name__
