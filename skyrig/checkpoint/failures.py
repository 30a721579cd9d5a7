"""What can go wrong with checkpoints beside bad input."""

from __future__ import annotations

from skyrig.errors import SkyrigError


class SaveFailed(SkyrigError):
    """A save did not come to its end; nothing of it will ever be loaded. `message` says what is safe."""


class Superseded(SaveFailed):
    """A newer incarnation of the run has taken over the checkpoints: this one must not publish any more."""


class CheckpointsDamaged(SkyrigError):
    """There were complete checkpoints, and none of them is whole any more; `message` says why of each."""
