"""A task as a task file again: YAML that reads back as the same task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from attrs import evolve

from skyrig.task import normal
from skyrig.task.image import Image
from skyrig.task.model import Task, TaskFile
from skyrig.task.recovery import NO_STRATEGY, JobRecovery
from skyrig.task.resources import Choice, Resources
from skyrig.task.service import Service
from skyrig.task.storage import Storage


def of_file(file: TaskFile, *, secrets: bool = False) -> str:
    """The file as YAML. Values of secrets are left out unless asked for."""
    documents = [of_task(task, secrets=secrets) for task in file.tasks]
    if file.several:
        header: dict[str, Any] = {"name": file.name}
        if file.execution == "parallel":
            header |= {"execution": "parallel", **file.group}
        documents = [header, *documents]
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def of_task(task: Task, *, secrets: bool = False) -> dict[str, Any]:
    """The task's fields as plain data, those that say nothing left out."""
    form = normal.of_task(task)
    config = {**task.config.values, "hooks": _hooks(task)} if task.config.hooks else dict(task.config.values)
    kept = dict(task.secrets) if secrets else dict.fromkeys(task.secrets)
    fields = {
        "name": task.name,
        "workdir": form["workdir"],
        "num_nodes": task.num_nodes if task.num_nodes != 1 else None,
        "resources": _choice(task.choice, task),
        "envs": dict(task.env),
        "secrets": kept,
        "managed_secrets": [_managed(each) for each in task.managed_secrets],
        "file_mounts": _mounts(task),
        "volumes": form["volumes"],
        "service": form["service"] if isinstance(task.service, Service) else None,
        "pool": (form["service"] or {}).get("pool"),
        "config": config,
        "event_callback": task.event_callback,
        "api_server_access": None if task.api_server_access else False,
        "inputs": dict([task.inputs]) if task.inputs else None,
        "outputs": dict([task.outputs]) if task.outputs else None,
        "setup": task.setup,
        "run": task.run,
    }
    return {name: value for name, value in fields.items() if value not in (None, {}, [])}


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, as people write them."""

    def ignore_aliases(self, data: Any) -> bool:
        """Everything is written where it stands."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _choice(choice: Choice, task: Task) -> dict[str, Any]:
    """The candidates: one as it is, several below any_of or ordered."""
    written = [_resources(each, task) for each in choice.each]
    return written[0] if choice.mode == "single" else {choice.mode: written}


def _resources(each: Resources, task: Task) -> dict[str, Any]:
    form = normal.of_resources(each)
    mounted = {disk.path for disk in task.mounts.disks}
    fields = {
        name: form[name]
        for name in (
            "infra", "instance_type", "cpus", "memory", "accelerators", "accelerator_args", "job_recovery", "disk_tier",
            "network_tier", "local_disk", "max_hourly_cost", "ports", "labels", "autostop", "priority",
            "priority_class",
        )
    }  # fmt: skip
    fields["use_spot"] = each.use_spot
    if each.job_recovery is not None and each.job_recovery.strategy == NO_STRATEGY:
        fields["job_recovery"] = _not_recovered(each.job_recovery)
    fields["disk_size"] = each.disk_size
    fields["volumes"] = [disk for disk in form["volumes"] or [] if disk["path"] not in mounted] or None
    if each.image is not None:
        fields["image_id"] = _image(each.image)
    return {name: value for name, value in fields.items() if value is not None}


def _not_recovered(each: JobRecovery) -> dict[str, Any]:
    """What the normal form, which is SkyPilot's, has no words for."""
    named = normal.recovery(evolve(each, strategy=None)) or {}
    return {name: value for name, value in {**named, "strategy": "none"}.items() if value is not None}


def _image(image: Image) -> dict[str | None, str]:
    """Images by region and the container apart from them; beside it none is marked as a container."""
    if image.container is None:
        return dict(image.by_region)
    return {region: name.removeprefix("docker:") for region, name in image.by_region.items()} | {
        "docker": image.container
    }


def _hooks(task: Task) -> list[Mapping[str, Any]]:
    return [{"run": hook.run, "events": list(hook.events), "timeout": hook.timeout} for hook in task.config.hooks]


def _managed(each: Any) -> Any:
    name = f"{each.scope}.{each.name}" if each.scope else each.name
    return name if each.mount_path is None else {name: {"mount_path": each.mount_path}}


def _mounts(task: Task) -> dict[str, Any]:
    found: dict[str, Any] = dict(task.mounts.copies)
    for target, storage in task.mounts.buckets.items():
        found[target] = _bucket(storage)
    for disk in task.mounts.disks:
        source = found.pop(f"{disk.path}/data", None)
        config = {name: getattr(disk, name) for name in ("disk_size", "disk_tier", "storage_type", "attach_mode")}
        fields = {"store": "volume", "name": disk.name, "source": source, "persistent": not disk.auto_delete}
        given = {name: value for name, value in fields.items() if value is not None}
        found[disk.path] = {**given, "config": {name: value for name, value in config.items() if value is not None}}
    return found


def _bucket(storage: Storage) -> dict[str, Any]:
    config = {"mount": storage.mount, "mount_cached": storage.mount_cached}
    fields = {
        "name": storage.name,
        "source": list(storage.source) if isinstance(storage.source, tuple) else storage.source,
        "store": storage.store,
        "mode": storage.mode,
        "persistent": storage.persistent,
        "type": storage.type,
        "config": {name: dict(value) for name, value in config.items() if value is not None} or None,
    }
    return {name: value for name, value in fields.items() if value is not None}
