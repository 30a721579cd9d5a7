"""The one collection of verbs behind both doors, `invoke` and `skyrig`."""

from __future__ import annotations

from invoke.collection import Collection

from skyrig import places
from skyrig.cli import (
    catalog,
    clouds,
    clusters,
    develop,
    examples,
    images,
    jobs,
    local,
    money,
    plain,
    plans,
    preflight,
    records,
    recovery,
    runs,
    services,
    storage,
    tasks,
)  # fmt: skip


def namespace() -> Collection:
    """All verbs: plain ones, and those with a dot in collections of their own. A clone has `pulumi` on PATH, so only an
    installed Skyrig has it as a verb."""
    root = Collection()
    root.add_task(catalog.gpus)
    shared = (clusters, recovery, clouds, money, plans, runs, records, preflight, examples)
    for module in (*shared, plain if places.is_installed() else develop):
        for task in vars(module).values():
            if hasattr(task, "get_arguments") and not isinstance(task, type):
                root.add_task(task)
    spaces = {
        "catalog": (catalog.refresh,),
        "image": (images.build, images.ls, images.delete),
        "jobs": (jobs.launch, jobs.queue, jobs.logs, jobs.cancel),
        "local": (local.ls, local.preempt, local.partition, local.capacity, local.hide, local.clock),
        "serve": (services.up, services.status, services.logs, services.update, services.down),
        "storage": (storage.ls, storage.cp, storage.delete),
        "task": (tasks.show,),
    }
    for name, verbs in spaces.items():
        space = Collection(name)
        for verb in verbs:
            space.add_task(verb, default=True if verb.alone == name else None)
        root.add_collection(space)
    return root
