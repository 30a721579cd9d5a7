"""The newest complete save: which it is, whether it is whole, and everything of it in its place.

What a rank has read to check it, it keeps until it is loaded: as much host memory as its part of a save takes. Not so
from a disk of this machine: what was just read is in memory there, and reading it again is cheaper than keeping it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner

from skyrig.checkpoint import manifest as manifests
from skyrig.checkpoint import rng, tree
from skyrig.checkpoint import state as states
from skyrig.checkpoint.history import History, Save
from skyrig.checkpoint.manifest import Manifest, Unfit
from skyrig.checkpoint.ranks import Ranks, portable
from skyrig.checkpoint.saving import log
from skyrig.checkpoint.state import State
from skyrig.checkpoint.storage import ShardReader
from skyrig.checkpoint.store import Store
from skyrig.errors import BadInput, SkyrigError

STATE = "state"
"""Blob of the values of the run that are no tensors."""


@dataclass(frozen=True)
class Whole:
    """A save that is whole: its manifest, and the shards that this rank has read, by name."""

    manifest: Manifest
    held: dict[str, bytearray]


def own(rank: int) -> str:
    """Name of the blob of what rank `rank` has for itself."""
    return f"own/{rank}"


def examine(save: Save, history: History, store: Store, ranks: Ranks) -> Whole | Unfit:
    """A save that is whole, or why it must not be loaded. All ranks share the work."""

    def look() -> Manifest | Unfit:
        if save.manifest not in history.sizes:
            return Unfit("it was never completed", complete=False)
        try:
            manifest = Manifest.from_bytes(store.read(save.manifest))
            manifests.check_sizes(manifest, save.folder, history.sizes)
        except Unfit as error:
            return error
        except FileNotFoundError:
            return Unfit("it was removed meanwhile", complete=False)
        except OSError as error:
            return Unfit(f"its manifest cannot be read: {error.strerror or error}")
        return manifest

    manifest = ranks.from_first(look)
    if isinstance(manifest, Unfit):
        return manifest
    mine: Exception | None = None
    held: dict[str, bytearray] = {}
    keep = not getattr(store, "is_near", False)
    try:
        for shard in manifest.shards[ranks.rank :: ranks.size]:
            content = manifests.checked(store, save.folder, shard, keep=keep)
            held |= {shard.name: content} if keep else {}
    except Exception as error:  # noqa: BLE001  (an SDK's errors have no common root, and the others wait; raised below)
        mine = error if isinstance(error, Unfit) else portable(error)
    found = [each for each in ranks.gather(mine) if each is not None]
    for each in found:
        if not isinstance(each, Unfit):  # the store fails, which says nothing of the checkpoint
            raise each
    return next((each for each in found if isinstance(each, Unfit)), Whole(manifest, held))


def load(save: Save, whole: Whole, state: State, own_state: dict[str, Any], store: Store, ranks: Ranks) -> None:
    """Everything of a save that `examine` found whole, and the random numbers last. BadInput if it is of something
    else than `state`."""
    manifest = whole.manifest
    reader = ShardReader(store, save.folder, manifest, whole.held)
    found = tree.from_bytes(reader.blob(STATE))
    known = {key: (tensor.dtype, tensor.size) for key, tensor in manifest.tensors.items()}
    try:
        places = state.targets(found, known)
    except BadInput as error:
        raise BadInput(f"the checkpoint of step {save.step} in {store} does not fit: {error.message}") from None
    try:
        dcp.load(
            places,
            storage_reader=reader,
            planner=DefaultLoadPlanner(flatten_state_dict=False),
            process_group=ranks.group,
        )
    except dcp.CheckpointException as error:
        rank, (reason, _) = min(error.failures.items())
        raise SkyrigError(f"step {save.step} cannot be loaded from {store}: {reason} (rank {rank})") from error
    state.put(found, places)
    _load_own(save, manifest, own_state, reader, ranks)


def _load_own(save: Save, manifest: Manifest, own_state: dict[str, Any], reader: ShardReader, ranks: Ranks) -> None:
    if manifest.world_size != ranks.size and ranks.first:
        log.warning(
            "step %d was saved by %d ranks and is loaded by %d: each rank takes the random numbers of its own number, "
            "where there was one",
            save.step,
            manifest.world_size,
            ranks.size,
        )
    if ranks.rank >= manifest.world_size:
        return
    mine = tree.from_bytes(reader.blob(own(ranks.rank)))
    states.put_own(own_state, mine["own"])
    rng.restore(mine["rng"])
