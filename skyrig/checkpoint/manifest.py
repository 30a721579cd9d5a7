"""What a checkpoint consists of: a document that is written last, and that says of itself whether it is whole.

First line: a word, a version and the SHA-256 of the rest, which is JSON. It is never unpickled, and neither is any
part of a checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from skyrig.checkpoint.content import BLOCK, Content, measured
from skyrig.checkpoint.store import Block, Store

NAME = "manifest.json"
_WORD = b"skyrig-checkpoint"
_VERSION = b"1"


class Unfit(Exception):
    """A checkpoint must not be loaded; the text says why. `complete` if it was whole once, and is not any more."""

    def __init__(self, reason: str, *, complete: bool = True) -> None:
        super().__init__(reason)
        self.complete = complete


@dataclass(frozen=True)
class Shard(Content):
    """A file of one rank: its content, and its name beside the manifest."""

    name: str


@dataclass(frozen=True)
class Piece:
    """A part of a shard."""

    shard: str
    at: int
    length: int


@dataclass(frozen=True)
class Chunk:
    """A block of a tensor, whose place in it are `offsets` and `sizes`, and where its bytes are."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    piece: Piece


@dataclass(frozen=True)
class Tensor:
    """A tensor of the whole run: `dtype` as torch names it, without `torch.`."""

    dtype: str
    size: tuple[int, ...]
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Manifest:
    """One checkpoint. `blobs` are values that are no tensors, by name; `run` and `info` are for readers."""

    step: int
    incarnation: str
    world_size: int
    saved_at: float
    shards: tuple[Shard, ...]
    tensors: Mapping[str, Tensor]
    blobs: Mapping[str, Piece]
    run: Mapping[str, str] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """As it is written."""
        body = json.dumps(asdict(self), separators=(",", ":")).encode()
        return b" ".join((_WORD, _VERSION, hashlib.sha256(body).hexdigest().encode())) + b"\n" + body

    @staticmethod
    def from_bytes(content: bytes | bytearray) -> Manifest:
        """What `to_bytes` made. Unfit if it is not whole, or of a version that is not known."""
        head, _, body = content.partition(b"\n")
        words = head.split(b" ")
        if len(words) != 3 or words[0] != _WORD:
            raise Unfit("its manifest is cut short", complete=False)
        if words[1] != _VERSION:
            raise Unfit(f"its manifest has version {words[1].decode(errors='replace')}, known is {_VERSION.decode()}")
        if hashlib.sha256(body).hexdigest().encode() != words[2]:
            raise Unfit("its manifest is cut short or was changed", complete=False)
        return _manifest(json.loads(body))


def check_sizes(manifest: Manifest, folder: str, sizes: Mapping[str, int]) -> None:
    """Unfit unless all shards are there with their sizes, as `sizes` of the store says."""
    for number, shard in enumerate(manifest.shards, 1):
        found = sizes.get(folder + shard.name)
        which = f"shard {number} of {len(manifest.shards)} ({shard.name})"
        if found is None:
            raise Unfit(f"{which} is missing")
        if found != shard.size:
            raise Unfit(f"{which} has {found} bytes, not {shard.size}")


def checked(store: Store, folder: str, shard: Shard, *, keep: bool) -> bytearray:
    """The bytes of a shard, none unless it is to `keep` them; Unfit unless they are those that were saved."""
    content = bytearray(shard.size if keep else 0)

    def blocks() -> Iterator[Block]:
        for at in range(0, shard.size, BLOCK):
            block = store.read(folder + shard.name, at, min(BLOCK, shard.size - at))
            if keep:
                content[at : at + len(block)] = block
            yield block

    try:
        found = measured(blocks())
    except FileNotFoundError:
        raise Unfit(f"shard {shard.name} is missing") from None
    except ConnectionError:  # the store fails, not the checkpoint
        raise
    except OSError as error:
        raise Unfit(f"shard {shard.name} cannot be read: {error.strerror or error}") from None
    if found.sha256 != shard.sha256:
        raise Unfit(f"shard {shard.name} holds other bytes than were saved")
    return content


def _manifest(plain: dict[str, Any]) -> Manifest:
    return Manifest(
        **{
            **plain,
            "shards": tuple(Shard(**each) for each in plain["shards"]),
            "tensors": {key: _tensor(each) for key, each in plain["tensors"].items()},
            "blobs": {key: Piece(**each) for key, each in plain["blobs"].items()},
        }
    )


def _tensor(plain: dict[str, Any]) -> Tensor:
    chunks = (Chunk(tuple(c["offsets"]), tuple(c["sizes"]), Piece(**c["piece"])) for c in plain["chunks"])
    return Tensor(plain["dtype"], tuple(plain["size"]), tuple(chunks))
