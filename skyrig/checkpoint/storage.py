"""torch.distributed.checkpoint's two ends: what it plans goes to a store, one shard a rank, and comes back from there.

A shard holds the bytes of tensors one after the other, as they are in memory, and then values that are no tensors.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.distributed.checkpoint import LoadPlan, LoadPlanner, SavePlan, SavePlanner, StorageReader, StorageWriter
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from skyrig.checkpoint.content import BLOCK
from skyrig.checkpoint.manifest import Chunk, Manifest, Piece, Shard, Tensor
from skyrig.checkpoint.store import Block, Store
from skyrig.errors import BadInput

Parts = tuple[dict[str, Tensor], dict[str, Piece], tuple[Shard, ...]]
"""What all ranks have written: tensors and blobs by name, and the shards."""


class _AsPlanned:
    """What both ends leave to torch: they plan nothing, and keep nothing from one time to the next."""

    def reset(self, checkpoint_id: Any = None) -> None:
        """Nothing is left of the time before."""

    def prepare_local_plan(self, plan: Any) -> Any:
        """As torch planned it."""
        return plan

    def prepare_global_plan(self, plans: list[Any]) -> list[Any]:
        """As torch planned it."""
        return plans

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: Any) -> bool:
        """The store and folder are the ids here."""
        return False


class ShardWriter(_AsPlanned, StorageWriter):  # type: ignore[misc]
    """Writes this rank's shard to `folder` of a store: what the plan says, then `blobs`. When all ranks have, the first
    one calls `publish` with what there is. A rank with a `problem` fails where all meet, so that none waits for it."""

    def __init__(
        self,
        store: Store,
        folder: str,
        rank: int,
        blobs: Mapping[str, bytes],
        publish: Callable[[Parts], None],
        problem: Exception | None = None,
    ) -> None:
        self._store = store
        self._folder = folder
        self._name = f"{rank:05d}.shard"
        self._blobs = blobs
        self._publish = publish
        self._problem = problem

    @property
    def shard(self) -> str:
        """Name of the shard in the store."""
        return self._folder + self._name

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Any:
        """The shard, in one go; each result says where in it something is."""
        if self._problem is not None:
            raise self._problem
        results: list[Any] = []
        digest = hashlib.sha256()
        at = 0

        def blocks() -> Iterator[Block]:
            nonlocal at
            for index, content in self._contents(plan, planner):
                results.append(WriteResult(index, len(content), Piece(self._name, at, len(content))))
                at += len(content)
                for start in range(0, len(content), BLOCK):
                    block = content[start : start + BLOCK]
                    digest.update(block)
                    yield block

        self._store.put(self.shard, blocks())
        shard = Shard(at, digest.hexdigest(), self._name)
        done: Any = Future()
        done.set_result([*results, WriteResult(MetadataIndex(self._name), at, shard)])
        return done

    def _contents(self, plan: SavePlan, planner: SavePlanner) -> Iterator[tuple[Any, memoryview]]:
        for item in plan.items:
            tensor = planner.resolve_data(item)
            if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
                raise BadInput(f"{item.index.fqn} is a tensor of a kind that cannot be saved")
            tensor = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
            yield item.index, _bytes_of(tensor)
        for name, blob in self._blobs.items():
            yield MetadataIndex(name), memoryview(blob)

    def finish(self, metadata: Metadata, results: list[list[Any]]) -> None:
        """On the first rank alone, when all have written."""
        written = [each for rank in results for each in rank]
        shards = tuple(each.storage_data for each in written if isinstance(each.storage_data, Shard))
        places = {
            (each.index.fqn, tuple(each.index.offset or ())): each.storage_data
            for each in written
            if isinstance(each.storage_data, Piece)
        }
        tensors = {key: _described(key, each, places) for key, each in metadata.state_dict_metadata.items()}
        blobs = {key: piece for (key, _), piece in places.items() if key not in tensors}
        self._publish((tensors, blobs, shards))

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Nothing to be set up."""


class ShardReader(_AsPlanned, StorageReader):  # type: ignore[misc]
    """Reads what a manifest describes: shards that are `held` already by their names, others from `folder` of the
    store."""

    def __init__(self, store: Store, folder: str, manifest: Manifest, held: Mapping[str, bytearray]) -> None:
        self._store = store
        self._folder = folder
        self._manifest = manifest
        self._held = {name: memoryview(content) for name, content in held.items()}

    def blob(self, name: str) -> Block:
        """A value that is no tensor. KeyError if there is none of that name."""
        return self._content(self._manifest.blobs[name])

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """The manifest in torch's terms."""
        return Metadata({key: _metadata(tensor) for key, tensor in self._manifest.tensors.items()})

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Any:
        """Each tensor of the plan, from the piece that has it."""
        chunks = {(key, c.offsets): c for key, tensor in self._manifest.tensors.items() for c in tensor.chunks}
        for item in plan.items:
            key = item.storage_index.fqn
            chunk = chunks[key, tuple(item.storage_index.offset or ())]
            found = self._tensor(chunk, getattr(torch, self._manifest.tensors[key].dtype))
            for dim, (start, length) in enumerate(zip(item.storage_offsets, item.lengths, strict=True)):
                found = found.narrow(dim, start, length)
            target = planner.resolve_tensor(item).detach()
            target.copy_(found)
            planner.commit_tensor(item, target)
        done: Any = Future()
        done.set_result(None)
        return done

    def _tensor(self, chunk: Chunk, dtype: Any) -> Any:
        piece = chunk.piece
        if not piece.length:
            return torch.empty(chunk.sizes, dtype=dtype)
        content = self._content(piece)
        if isinstance(content, bytes) or piece.at % dtype.itemsize:  # torch wants it writable, and aligned
            content = bytearray(content)
        return torch.frombuffer(content, dtype=dtype).reshape(chunk.sizes)

    def _content(self, piece: Piece) -> Block:
        held = self._held.get(piece.shard)
        if held is not None:
            return held[piece.at : piece.at + piece.length]
        return self._store.read(self._folder + piece.shard, piece.at, piece.length)

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Nothing to be set up."""


def _bytes_of(tensor: Any) -> memoryview:
    """The memory of a contiguous tensor on the CPU, of any dtype. Valid as long as the tensor is kept."""
    count = tensor.numel() * tensor.element_size()
    if not count:
        return memoryview(b"")
    memory = (ctypes.c_ubyte * count).from_address(tensor.data_ptr())
    return memoryview(memory).cast("B")


def _described(key: str, metadata: Any, places: Mapping[tuple[str, tuple[int, ...]], Piece]) -> Tensor:
    if not isinstance(metadata, TensorStorageMetadata):
        raise BadInput(f"{key} is no tensor")
    chunks = []
    for chunk in metadata.chunks:
        offsets = tuple(chunk.offsets)
        piece = places.get((key, offsets)) or places[key, ()]
        chunks.append(Chunk(offsets, tuple(chunk.sizes), piece))
    dtype = str(metadata.properties.dtype).removeprefix("torch.")
    return Tensor(dtype, tuple(metadata.size), tuple(chunks))


def _metadata(tensor: Tensor) -> Any:
    return TensorStorageMetadata(
        properties=TensorProperties(dtype=getattr(torch, tensor.dtype)),
        size=torch.Size(tensor.size),
        chunks=[ChunkStorageMetadata(torch.Size(each.offsets), torch.Size(each.sizes)) for each in tensor.chunks],
    )
