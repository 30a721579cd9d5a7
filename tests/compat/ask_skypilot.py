"""Asks SkyPilot itself what it makes of task files, for `asked.jsonl`. Run by hand, in an environment of its own:

    python -m venv /tmp/sky && /tmp/sky/bin/pip install skypilot==0.14.1
    cd tests/compat/asked && /tmp/sky/bin/python ../ask_skypilot.py < texts.json > asked.jsonl

Standard input is a JSON list of texts; each line of the output is {"yaml", "ok", "normal" | "error"}. A normal form
holds what is unlike that of an empty task; candidates of which any will do stand in the order of their JSON.
"""

import contextlib
import dataclasses
import enum
import io
import json
import logging
import os
import sys
import tempfile

os.environ["SKYPILOT_DISABLE_USAGE_COLLECTION"] = "1"
logging.disable(logging.CRITICAL)

import sky  # noqa: E402 - its settings stand before it
from sky.utils import dag_utils, yaml_utils  # noqa: E402


def plain(value):
    """Enum members as their values, everywhere."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def options(config):
    """Options of a mount that were given."""
    if config is None:
        return None
    return {key: value for key, value in dataclasses.asdict(config).items() if value is not None}


def autostop(config):
    """False where it is off."""
    if config is None or not config.enabled:
        return None if config is None else False
    found = {"down": bool(config.down), "idle_minutes": config.idle_minutes}
    return found if config.wait_for is None else {**found, "wait_for": config.wait_for.value}


def resources(r):
    """One candidate."""
    return {
        "infra": r.infra.to_str(),
        "cloud": None if r.cloud is None else str(r.cloud).lower(),
        "region": r._region,
        "zone": r._zone,
        "instance_type": r._instance_type,
        "cpus": r._cpus,
        "memory": r._memory,
        "accelerators": r._accelerators,
        "accelerator_args": r._accelerator_args,
        "use_spot": bool(r._use_spot),
        "use_spot_specified": r._use_spot_specified,
        "job_recovery": r._job_recovery,
        "disk_size": r.disk_size,
        "disk_size_specified": r._disk_size is not None,
        "disk_tier": plain(r._disk_tier),
        "network_tier": plain(r._network_tier),
        "local_disk": r._local_disk,
        "max_hourly_cost": r._max_hourly_cost,
        "ports": r._ports,
        "image_id": r._image_id and {key or "null": value for key, value in r._image_id.items()},
        "docker_image": r.extract_docker_image(),
        "labels": r._labels or None,
        "autostop": autostop(r.autostop_config),
        "hooks": r._hooks,
        "priority": r._priority,
        "priority_class": r._priority_class,
        "volumes": plain(r._volumes),
        "config_overrides": r._cluster_config_overrides or None,
        "requires_fuse": bool(r._requires_fuse),
    }


def storage(s):
    """One bucket."""
    return {
        "name": s.name,
        "source": s.source,
        "stores": [each.value for each in s.stores],
        "mode": s.mode.value,
        "persistent": s.persistent,
        "type": plain(s.file_mount_type),
        "mount": options(s.mount_config),
        "mount_cached": options(s.mount_cached_config),
    }


def task(t):
    """One task."""
    candidates = [resources(r) for r in t.resources]
    mode = "ordered" if isinstance(t.resources, list) else "single" if len(candidates) == 1 else "any_of"
    if mode == "any_of":
        candidates.sort(key=lambda each: json.dumps(each, sort_keys=True))
    return {
        "name": t.name,
        "num_nodes": t.num_nodes,
        "workdir": t.workdir,
        "envs": t.envs,
        "secrets": sorted(t.secrets or {}),
        "managed_secrets": [dataclasses.asdict(each) for each in t._managed_secret_refs],
        "file_mounts": t.file_mounts or {},
        "storage_mounts": {target: storage(s) for target, s in (t.storage_mounts or {}).items()},
        "volumes": t._volumes or {},
        "resources": candidates,
        "resources_mode": mode,
        "service": t.service.to_yaml_config() if t.service is not None else None,
        "is_pool": bool(t.service and t.service.pool),
        "setup": t.setup,
        "run": t.run,
        "event_callback": t.event_callback,
        "inputs": t.inputs,
        "outputs": t.outputs,
    }


def ask(text):
    """What SkyPilot makes of one text."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", newline="") as file:
        file.write(text)
        file.flush()
        try:
            if len([each for each in yaml_utils.read_yaml_all_str(text) if each is not None]) > 1:
                dag = dag_utils.load_dag_from_yaml(file.name)
                return {"kind": "pipeline", "dag_name": dag.name, "tasks": [task(each) for each in dag.tasks]}
            return {"kind": "task", **task(sky.Task.from_yaml(file.name))}
        except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
            return f"{type(error).__name__}: {error}"


def unlike(found, usual):
    """What differs from the usual, candidates of resources one by one."""
    told = {key: value for key, value in found.items() if key not in usual or value != usual[key]}
    if "resources" in told:
        first = usual["resources"][0]
        told["resources"] = [{k: v for k, v in each.items() if v != first[k]} for each in told["resources"]]
    return {**told, "tasks": [unlike(each, usual) for each in found["tasks"]]} if "tasks" in found else told


usual = {"kind": "task", **task(sky.Task())}
for text in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        answer = ask(text)
    refused = isinstance(answer, str)
    told = {"error": " ".join(answer.split())[:160]} if refused else {"normal": unlike(answer, usual)}
    print(json.dumps({"yaml": text, "ok": not refused, **told}, sort_keys=True))
