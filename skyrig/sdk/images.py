"""Machine images: built out of a task's setup, listed, deleted."""

from __future__ import annotations

from typing import Any

from skyrig.sdk.request.calls import RequestId, begin
from skyrig.sdk.task import Task
from skyrig.task.override import placed


def image_build(name: str, task: Task, force: bool = False) -> RequestId[dict[str, Any]]:
    """Build the image `name` out of a task's setup, on a node of its own that goes afterwards; a row as in `image_ls`.
    What is there already, of the same setup, stays, unless `force`. What costs money is agreed to."""
    task.file.require_files()
    told = (*task.file.mends, *task.file.warnings)
    return begin("image_build", image=name, task=placed(task.value), told=told, force=force)


def image_ls() -> RequestId[list[dict[str, Any]]]:
    """Images that were built here, of machines and of containers: rows with name, kind, digest, made_at, and where each
    is; of machines also cloud, ids, setup_s (seconds that its setup took), used_by and monthly (USD)."""
    return begin("image_ls")


def image_delete(name: str) -> RequestId[None]:
    """Delete a machine image with all its copies, and what a build of it has left. Nobody is asked."""
    return begin("image_delete", image=name)
