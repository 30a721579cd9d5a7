"""`CheckpointManager`: saves that cost training the copy to host memory alone, and restores what is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from skyrig.checkpoint import incarnation, loading, rng, saving, tree
from skyrig.checkpoint import state as states
from skyrig.checkpoint.failures import CheckpointsDamaged, SaveFailed
from skyrig.checkpoint.heartbeat import Heartbeat
from skyrig.checkpoint.history import History, Save
from skyrig.checkpoint.incarnation import Incarnation
from skyrig.checkpoint.manifest import Unfit
from skyrig.checkpoint.preemption import Lookout
from skyrig.checkpoint.ranks import Ranks
from skyrig.checkpoint.saving import Retention, Saving, log
from skyrig.checkpoint.staging import Staging
from skyrig.checkpoint.state import State
from skyrig.checkpoint.stopping import Notice
from skyrig.checkpoint.store import Store, open_store
from skyrig.errors import BadInput, SkyrigError


@dataclass(frozen=True)
class Restored:
    """What `restore` loaded. `rejected` says of each newer save why it was not that one."""

    step: int
    incarnation: str
    world_size: int
    info: Mapping[str, Any] = field(default_factory=dict)
    rejected: tuple[str, ...] = ()


class CheckpointManager:
    """Saves and restores a run. With torch.distributed all ranks make one and make the same calls.

    `where` is a folder (also a mounted bucket), `s3://BUCKET/PREFIX` or a Store; all ranks must look on the same place.
    `state` is what the run consists of, by name: modules, optimizers, tensors, dictionaries, whatever has `state_dict`
    and `load_state_dict`; sharded over the ranks or the same on all. `own` is what each rank has for itself, such as a
    data loader's place. Random numbers of Python, numpy, torch and the rank's GPU are always part of it.

    `every` is for `after_step`. The newest `keep` checkpoints stay, and those whose step is a multiple of `keep_every`.
    A `readonly` one only restores: it neither saves nor takes the right to from the run that does.
    """

    def __init__(
        self,
        where: str | os.PathLike[str] | Store,
        state: Mapping[str, Any],
        *,
        own: Mapping[str, Any] | None = None,
        every: int | None = None,
        keep: int = 3,
        keep_every: int | None = None,
        readonly: bool = False,
    ) -> None:
        for name, number in (("keep", keep), ("every", every), ("keep_every", keep_every)):
            if number is not None and number < 1:
                raise BadInput(f"{name}={number}: at least 1 is wanted")
        states.check(own or {})
        self.store = open_store(where)
        self.stall_s = 0.0
        """Seconds that training stood still for the last `save`, the wait for the one before it included."""
        self.took_s = 0.0
        """Seconds from the call to the manifest, of the last save that is done."""
        self.safe: int | None = None
        """The newest step that will load, as far as this process knows."""
        self._state = State(state)
        self._own = dict(own or {})
        self._every = every
        self._retention = Retention(keep, keep_every)
        self._readonly = readonly
        self._notice = Notice()
        self._lookout = Lookout({} if readonly else os.environ)
        self._heartbeat = Heartbeat({} if readonly else os.environ)
        self._staging = Staging()
        self._ranks_found: Ranks | None = None
        self._life: Incarnation | None = None
        self._serial = 0
        self._behind = ThreadPoolExecutor(1, "checkpoint")
        self._running: Future[None] | None = None

    # -- saving

    def save(self, step: int, *, info: Mapping[str, Any] | None = None, wait: bool = False) -> None:
        """Save the run as it is now, under `step`. Returns when its copy is taken, with `wait` when it is published.

        `info` is plain data that goes into the manifest. What went wrong with the save before is raised here:
        SaveFailed, or Superseded if a newer incarnation of the run has begun.
        """
        if self._readonly:
            raise BadInput("this CheckpointManager is readonly", hint="make one without readonly=True to save")
        if step < 0:
            raise BadInput(f"step {step}: steps are not negative")
        started = time.monotonic()
        ranks, life = self._joined()
        self.wait()
        self._serial += 1
        skeleton, tensors = self._state.take()
        blobs, problem = self._blobs(skeleton, ranks)
        whole = Saving(Save(life, step, self._serial), self._staging.copy(tensors), blobs, dict(info or {}), problem)
        self._running = self._behind.submit(self._write, whole, ranks, started)
        self.stall_s = time.monotonic() - started
        if wait:
            self.wait()

    def wait(self) -> int | None:
        """Wait for the save that is under way; the newest step that is safe. SaveFailed if it came to nothing."""
        running, self._running = self._running, None
        if running is not None:
            running.result()
        return self.safe

    def _write(self, whole: Saving, ranks: Ranks, started: float) -> None:
        try:
            saving.write(whole, self.store, ranks, self._retention)
        except SaveFailed as error:
            safe = "nothing is safe yet" if self.safe is None else f"step {self.safe} is safe"
            raise type(error)(f"{error.message}; {safe}", hint=error.hint) from error
        self.safe = whole.save.step
        self.took_s = time.monotonic() - started
        log.info("step %d is safe in %s after %.1f s", self.safe, self.store, self.took_s)

    def _blobs(self, skeleton: dict[str, Any], ranks: Ranks) -> tuple[dict[str, bytes], SkyrigError | None]:
        """What is no tensor of the run, as it is now; or why not. Alone, that is raised at once."""
        mine = {"rng": rng.state(), "own": states.take_own(self._own)}
        try:
            blobs = {loading.own(ranks.rank): tree.to_bytes(", ".join(["random numbers", *self._own]), mine)}
            if ranks.first:
                blobs[loading.STATE] = _of_the_run(skeleton)
        except BadInput as error:
            if not ranks.many:
                raise
            return {}, error
        return blobs, None

    # -- restoring

    def restore(self, step: int | None = None) -> Restored | None:
        """Load the newest complete checkpoint, or that of `step`; None if there is none yet.

        Incomplete and damaged ones are passed over, each with a warning that says why. CheckpointsDamaged if there were
        complete ones and none is whole any more; BadInput if the checkpoint is of another model, or `step` is missing.
        """
        self.wait()
        ranks, _ = self._joined()
        found = ranks.from_first(lambda: History(self.store))
        rejected: list[str] = []
        damaged = False
        for save in found.saves:
            if step is not None and save.step != step:
                continue
            looked_at = loading.examine(save, found, self.store, ranks)
            if not isinstance(looked_at, Unfit):
                loading.load(save, looked_at, self._state, self._own, self.store, ranks)
                self.safe, manifest = save.step, looked_at.manifest
                return Restored(save.step, manifest.incarnation, manifest.world_size, manifest.info, tuple(rejected))
            rejected.append(f"step {save.step} (incarnation {save.incarnation}) is not loaded: {looked_at}")
            damaged |= looked_at.complete
            if ranks.first:
                log.warning("%s", rejected[-1])
        if damaged or step is not None:
            said = "; ".join(rejected) or f"there is no checkpoint of step {step}"
            error = CheckpointsDamaged if damaged else BadInput
            raise error(f"nothing in {self.store} can be loaded: {said}", hint="to begin anew, give another place")
        return None

    # -- the end of a run

    def on_sigterm(self, grace_s: float | None = None) -> None:
        """Take SIGTERM as word to stop within `grace_s` seconds, by default what a job of Skyrig has (SKYRIG_GRACE_S),
        elsewhere 30; `after_step` then does what is needed."""
        self._notice.on_sigterm(grace_s)

    def request_stop(self, grace_s: float) -> None:
        """Word from elsewhere (a cloud's notice) to stop within `grace_s` seconds; for any thread, on any rank."""
        self._notice.request(grace_s)

    def after_step(self, step: int) -> bool:
        """To be called after each step: saves every `every` steps. True if the run must stop, on all ranks after the
        same step; then it was saved once more if there was time, and a warning has said what is safe. The same is done
        once, and the run goes on, when a machine of the job is about to be taken away (docs/preemption.md)."""
        self._heartbeat.beat()
        ranks, _ = self._joined()
        stop, announced = ranks.any_before(self._notice.given, self._lookout.new is not None)
        if stop:
            self._once_more(step, ranks, self._notice.left_s, lambda: f"told to stop after step {step}")
        elif announced:
            self._before_loss(step, ranks)
        elif self._every and step % self._every == 0:
            self.save(step)
        return stop

    def _before_loss(self, step: int, ranks: Ranks) -> None:
        """Some ranks may not have heard yet of what the others have: it is dealt with for all."""
        ranks.settle()
        found = [each for each in ranks.gather(self._lookout.new) if each is not None]
        self._lookout.done(each.id for each in found)
        first = min(found, key=lambda each: each.left_s)
        self._once_more(step, ranks, first.left_s, lambda: f"[skyrig] {first}")

    def _once_more(self, step: int, ranks: Ranks, left_s: float, why: Callable[[], str]) -> None:
        """Save within `left_s` seconds, if that can be, and say what is safe."""

        def say(more: str) -> None:
            if ranks.first:
                safe = "nothing is safe" if self.safe is None else f"step {self.safe} is safe"
                log.warning("%s: %s in %s (%s)", why(), safe, self.store, more)

        ranks.settle()
        until = time.monotonic() + left_s
        needed = max(ranks.gather(self.took_s))
        try:
            self.wait()
            left = min(ranks.gather(until - time.monotonic()))
            if self.safe == step:
                say("it was saved just now")
            elif needed > left:
                say(f"a save takes {needed:.1f} s, {max(left, 0):.1f} s are left")
            else:
                say("saving once more")  # said before, for the end may come amid it
                self.save(step, wait=True)
                say(f"saved in {self.took_s:.1f} s")
        except SaveFailed as error:
            say(str(error))

    def close(self) -> None:
        """Wait for the save that is under way, then part. SaveFailed if it came to nothing."""
        try:
            if self._ranks_found is not None:
                self._ranks_found.settle()
            self.wait()
        finally:
            self._behind.shutdown()

    def __enter__(self) -> CheckpointManager:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.close()
        except SaveFailed as failed:
            if error is None:
                raise
            log.warning("%s", failed)  # what ended the program says more

    def _joined(self) -> tuple[Ranks, Incarnation]:
        """The ranks, and this life of the run: claimed at first use, when torch.distributed is there."""
        if self._ranks_found is None:
            self._ranks_found = Ranks()
        if self._life is None:
            self._life = self._ranks_found.from_first(self._claim)
        return self._ranks_found, self._life

    def _claim(self) -> Incarnation:
        if self._readonly:
            return Incarnation(0, "0" * 8)
        return incarnation.claim(self.store, (save.incarnation for save in History(self.store).saves))


def _of_the_run(skeleton: dict[str, Any]) -> bytes:
    """What is no tensor of all entries, as bytes. BadInput names the entry that cannot be saved."""
    try:
        return tree.to_bytes("the run", skeleton)
    except BadInput:
        for name, value in skeleton.items():
            tree.to_bytes(repr(name), value)
        raise
