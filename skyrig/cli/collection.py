"""The one collection of verbs behind both doors, `invoke` and `skyrig`."""

from __future__ import annotations

from invoke.collection import Collection

from skyrig.cli import clusters, develop, local, records, runs, tasks


def namespace() -> Collection:
    """All verbs: plain ones, and those with a dot in collections of their own."""
    root = Collection()
    for module in (clusters, runs, records, develop):
        for task in vars(module).values():
            if hasattr(task, "get_arguments") and not isinstance(task, type):
                root.add_task(task)
    nodes = Collection("local")
    nodes.add_task(local.ls)
    nodes.add_task(local.preempt)
    root.add_collection(nodes)
    task = Collection("task")
    task.add_task(tasks.show)
    root.add_collection(task)
    return root
