"""The normal form of a task: plain data with SkyPilot's fields, its defaults filled in. Two files that mean the same
have the same one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from skyrig.task.disks import Disk
from skyrig.task.model import GitSource, Task, TaskFile
from skyrig.task.quantities import DEFAULT_DISK_GB
from skyrig.task.recovery import NO_STRATEGY, JobRecovery
from skyrig.task.resources import Resources
from skyrig.task.service import INTERVAL_S, STREAM_TIMEOUT_S, Pool, Service
from skyrig.task.storage import Storage


def of_file(file: TaskFile) -> dict[str, Any]:
    """What `task.show --json` prints. What is ours alone stands below `skyrig`: what was mended, what is to be known,
    and what is not there yet. `later_rejected` says that `launch` would refuse the file as things are."""
    ours: dict[str, Any] = {
        "mends": list(file.mends),
        "warnings": list(file.warnings),
        "missing": [f"{where}: {text}" for where, text in file.missing],
    }
    whole: dict[str, Any] = {"ok": True, "later_rejected": bool(file.missing)}
    if not file.several:
        return {**whole, "kind": "task", **of_task(file.tasks[0]), "skyrig": {**ours, **_ours(file.tasks[0])}}
    if file.execution == "parallel":
        ours |= {"execution": "parallel", **file.group}
    tasks = [{**of_task(task), "later_errors": [], "skyrig": _ours(task)} for task in file.tasks]
    return {**whole, "kind": "pipeline", "dag_name": file.name, "tasks": tasks, "skyrig": ours}


def of_task(task: Task) -> dict[str, Any]:
    """One task. Candidates of which any will do stand in a fixed order; secrets are shown by name alone."""
    fuse = any(storage.mode != "COPY" for storage in task.mounts.buckets.values())
    candidates = [of_resources(each, requires_fuse=fuse) for each in task.choice.each]
    if task.choice.mode == "any_of":
        candidates.sort(key=lambda each: json.dumps(each, sort_keys=True))
    return {
        "name": task.name,
        "num_nodes": task.num_nodes,
        "workdir": _workdir(task.workdir),
        "envs": dict(task.env),
        "secrets": sorted(task.secrets),
        "managed_secrets": [
            {"name": each.name, "scope_override": each.scope, "mount_path": each.mount_path}
            for each in task.managed_secrets
        ],
        "file_mounts": dict(task.mounts.copies),
        "storage_mounts": {target: _storage(each) for target, each in task.mounts.buckets.items()},
        "volumes": dict(task.volumes),
        "resources": candidates,
        "resources_mode": task.choice.mode,
        "service": _service(task.service),
        "is_pool": isinstance(task.service, Pool),
        "setup": task.setup,
        "run": task.run,
        "event_callback": task.event_callback,
        "inputs": task.inputs[0] if task.inputs else None,
        "outputs": task.outputs[0] if task.outputs else None,
    }


def of_resources(each: Resources, *, requires_fuse: bool = False) -> dict[str, Any]:
    """One candidate."""
    return {
        "infra": str(each.infra) or None,
        "cloud": each.infra.cloud,
        "region": each.infra.region,
        "zone": each.infra.zone,
        "instance_type": each.instance_type,
        "cpus": each.cpus,
        "memory": each.memory,
        "accelerators": {each.accelerator.name: each.accelerator.count} if each.accelerator else None,
        "accelerator_args": None if each.accelerator_args is None else dict(each.accelerator_args),
        "use_spot": bool(each.use_spot),
        "use_spot_specified": each.use_spot is not None,
        "job_recovery": recovery(each.job_recovery),
        "disk_size": each.disk_size or DEFAULT_DISK_GB,
        "disk_size_specified": each.disk_size is not None,
        "disk_tier": each.disk_tier,
        "network_tier": each.network_tier,
        "local_disk": each.local_disk,
        "max_hourly_cost": each.max_hourly_cost,
        "ports": list(each.ports) if each.ports else None,
        "image_id": {region or "null": name for region, name in each.image.by_region.items()} or None
        if each.image
        else None,
        "docker_image": each.image.docker_image(each.infra) if each.image else None,
        "labels": dict(each.labels) if each.labels else None,
        "autostop": _autostop(each),
        "hooks": [{"run": hook.run, "events": list(hook.events), "timeout": hook.timeout} for hook in each.hooks]
        or None,
        "priority": each.priority,
        "priority_class": each.priority_class,
        "volumes": [_disk(disk) for disk in each.disks] or None,
        "config_overrides": dict(each.config) or None,
        "requires_fuse": requires_fuse,
    }


def _ours(task: Task) -> dict[str, Any]:
    """What mends changed that SkyPilot's own form leaves as it was written."""
    found: dict[str, Any] = {}
    if task.config.mended != task.config.values:
        found["config"] = dict(task.config.mended)
    copies = {target: each.source for target, each in task.mounts.buckets.items() if each.is_local_copy}
    if copies:
        found["copies"] = copies
    return found


def _workdir(workdir: str | GitSource | None) -> Any:
    if not isinstance(workdir, GitSource):
        return workdir
    return {"url": workdir.url, **({} if workdir.ref is None else {"ref": workdir.ref})}


def _storage(each: Storage) -> dict[str, Any]:
    return {
        "name": each.name,
        "source": list(each.source) if isinstance(each.source, tuple) else each.source,
        "stores": [each.store] if each.store else [],
        "mode": each.mode,
        "persistent": each.persistent,
        "type": each.type,
        "mount": None if each.mount is None else dict(each.mount),
        "mount_cached": None if each.mount_cached is None else dict(each.mount_cached),
    }


def recovery(each: JobRecovery | None) -> dict[str, Any] | None:
    """The field `job_recovery`; SkyPilot's form of one that does not come back is that of none given."""
    if each is None or each.strategy == NO_STRATEGY:
        return None
    found: dict[str, Any] = {"strategy": each.strategy, **each.more}
    if each.max_restarts_on_errors is not None:
        found["max_restarts_on_errors"] = each.max_restarts_on_errors
    codes = each.recover_on_exit_codes
    if codes is not None:
        found["recover_on_exit_codes"] = list(codes) if isinstance(codes, tuple) else codes
    return found


def _autostop(each: Resources) -> Any:
    if each.autostop is None:
        return None
    if not each.autostop.enabled:
        return False
    found: dict[str, Any] = {"idle_minutes": each.autostop.idle_minutes, "down": each.autostop.down}
    return found if each.autostop.wait_for is None else {**found, "wait_for": each.autostop.wait_for}


def _disk(disk: Disk) -> dict[str, Any]:
    found = {
        "path": disk.path, "name": disk.name, "disk_size": disk.disk_size, "disk_tier": disk.disk_tier,
        "storage_type": disk.storage_type, "attach_mode": disk.attach_mode, "auto_delete": disk.auto_delete,
    }  # fmt: skip
    return {key: value for key, value in found.items() if value is not None}


def _service(service: Service | Pool | None) -> dict[str, Any] | None:
    if service is None:
        return None
    if isinstance(service, Pool):
        return {"pool": _without_none(service)}
    probe = _without_none(service.probe)
    if service.probe.endpoint_probe_interval_seconds == INTERVAL_S:
        del probe["endpoint_probe_interval_seconds"]
    found: dict[str, Any] = {"readiness_probe": probe, "replica_policy": dict(service.policy)}
    if service.stream_timeout_seconds != STREAM_TIMEOUT_S:
        found["load_balancer"] = {"stream_timeout_seconds": service.stream_timeout_seconds}
    for name, value in (("load_balancing_policy", service.load_balancing_policy), ("ports", service.port)):
        if value is not None:
            found[name] = value
    return found if service.tls is None else {**found, "tls": dict(service.tls)}


def _without_none(value: Any) -> dict[str, Any]:
    import attrs

    found: Mapping[str, Any] = attrs.asdict(value, recurse=False)
    return {key: each for key, each in found.items() if each is not None}
