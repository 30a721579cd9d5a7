"""One save behind the training: shards, then the manifest, then away with what is superfluous."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner

from skyrig.checkpoint import history, incarnation
from skyrig.checkpoint.failures import SaveFailed, Superseded
from skyrig.checkpoint.history import History, Save
from skyrig.checkpoint.manifest import Manifest
from skyrig.checkpoint.ranks import Ranks
from skyrig.checkpoint.storage import Parts, ShardWriter
from skyrig.checkpoint.store import Store
from skyrig.errors import SkyrigError

VISIBLE_S = 150.0
"""Seconds until what one node wrote must be seen on rank 0: caches of mounts write behind."""
_LOOK_AGAIN_S = 0.5

warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")

log = logging.getLogger("skyrig.checkpoint")


@dataclass(frozen=True)
class Retention:
    """How much stays: the newest `keep`, and those whose step is a multiple of `keep_every`."""

    keep: int
    keep_every: int | None


@dataclass(frozen=True)
class Saving:
    """A save that is to be written: copies of the tensors, this rank's blobs, and what readers want to know.

    `problem` is why this rank cannot take part; the others hear of it where they meet.
    """

    save: Save
    tensors: Mapping[str, Any]
    blobs: Mapping[str, bytes]
    info: Mapping[str, Any]
    problem: SkyrigError | None = None


def write(saving: Saving, store: Store, ranks: Ranks, retention: Retention) -> None:
    """Write and publish it; all ranks together. SaveFailed if any rank could not, Superseded if a newer life of the run
    has begun: then nothing of it will be loaded."""

    def publish(parts: Parts) -> None:
        _publish(saving.save, saving.info, parts, store, ranks)

    writer = ShardWriter(store, saving.save.folder, ranks.rank, saving.blobs, publish, saving.problem)
    try:
        dcp.save(
            dict(saving.tensors),
            storage_writer=writer,
            planner=DefaultSavePlanner(flatten_state_dict=False),
            process_group=ranks.background,
        )
    except dcp.CheckpointException as error:
        _clean(store, writer.shard)
        raise _failure(saving.save.step, store, error.failures) from error
    except RuntimeError as error:  # torch.distributed's: a rank is gone
        _clean(store, writer.shard)
        reason = str(error).partition("\n")[0]
        raise SaveFailed(
            f"step {saving.save.step} was not saved to {store}: the ranks lost each other: {reason}"
        ) from error
    if ranks.first:
        _prune(saving.save, store, retention)


def _publish(save: Save, info: Mapping[str, Any], parts: Parts, store: Store, ranks: Ranks) -> None:
    """The manifest, when all shards can be seen from here, unless a newer life has begun."""
    tensors, blobs, shards = parts
    wanted = {save.folder + shard.name: shard.size for shard in shards}
    until = time.monotonic() + VISIBLE_S
    while missing := wanted.items() - store.sizes(save.folder).items():
        if time.monotonic() > until:
            name, size = min(missing)
            raise SaveFailed(
                f"step {save.step} was not saved: rank 0 does not see {name} ({size} bytes) in {store}",
                hint="all ranks must look on one place: a folder that nodes share, a mounted bucket, or s3://",
            )
        time.sleep(_LOOK_AGAIN_S)
    newest = max(incarnation.claims(store), default=save.incarnation)
    if newest > save.incarnation:
        raise Superseded(
            f"step {save.step} was not saved: incarnation {newest} has taken over {store} from {save.incarnation}",
            hint="this process belongs to an older life of the run; end it",
        )
    run = incarnation.of_the_run(os.environ)
    manifest = Manifest(
        save.step, str(save.incarnation), ranks.size, time.time(), shards, tensors, blobs, run, dict(info)
    )
    store.put(save.manifest, [manifest.to_bytes()])


def _prune(save: Save, store: Store, retention: Retention) -> None:
    """What is not needed any more. Its failure costs room, no checkpoint, so it is only told."""
    try:
        found = History(store)
        gone = history.superfluous(
            found, mine=save.incarnation, current=save, keep=retention.keep, keep_every=retention.keep_every
        )
        found.remove(gone)
    except Exception as error:  # noqa: BLE001  (an SDK's errors have no common root)
        log.warning("old checkpoints in %s could not be removed: %s", store, error)


def _clean(store: Store, name: str) -> None:
    """Give room back after a failure."""
    try:
        store.delete([name])
    except Exception as error:  # noqa: BLE001  (an SDK's errors have no common root)
        log.info("%s could not be removed from %s: %s", name, store, error)


def _failure(step: int, store: Store, failures: Mapping[int, Any]) -> SkyrigError:
    """One error out of what the ranks met: our own first, which says most."""
    found = [(rank, wrapped[0]) for rank, wrapped in sorted(failures.items())]
    for _, error in found:
        if isinstance(error, SkyrigError):
            return error
    rank, error = found[0]
    where = f" on rank {rank}" if len(found) > 1 or rank else ""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{error or type(error).__name__}"
    return SaveFailed(f"step {step} was not saved to {store}{where}: {reason}")
