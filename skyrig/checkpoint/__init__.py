"""Checkpoints that will load: what `CheckpointManager` calls saved is whole, checked and newer than all before it.

Works in any program with torch, inside a job of Skyrig or without Skyrig, a cluster or torch.distributed. Nothing
here imports torch before a name is used that needs it: `save_checkpoint` and `load_checkpoint` do without.
See docs/checkpoint.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skyrig.checkpoint.decorators import load_checkpoint, save_checkpoint
    from skyrig.checkpoint.failures import CheckpointsDamaged, SaveFailed, Superseded
    from skyrig.checkpoint.manager import CheckpointManager, Restored
    from skyrig.checkpoint.s3 import S3Store
    from skyrig.checkpoint.sampler import ResumableSampler
    from skyrig.checkpoint.store import FolderStore, Store

__all__ = [
    "CheckpointManager",
    "CheckpointsDamaged",
    "FolderStore",
    "Restored",
    "ResumableSampler",
    "S3Store",
    "SaveFailed",
    "Store",
    "Superseded",
    "load_checkpoint",
    "save_checkpoint",
]

_STANDS_IN = {
    "CheckpointManager": "manager",
    "CheckpointsDamaged": "failures",
    "FolderStore": "store",
    "Restored": "manager",
    "ResumableSampler": "sampler",
    "S3Store": "s3",
    "SaveFailed": "failures",
    "Store": "store",
    "Superseded": "failures",
    "load_checkpoint": "decorators",
    "save_checkpoint": "decorators",
}


if not TYPE_CHECKING:  # a type checker knows the names from above, and that there are no others

    def __getattr__(name: str) -> object:
        """A name of this package, from the module that has it."""
        if name not in _STANDS_IN:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_STANDS_IN[name]}"), name)
