"""What clusters have to give now, as offers at no price: what is free of their machines.

Contexts are the current one, or those of `kubernetes.allowed_contexts` in SkyPilot's config, in ours, or in
SKYRIG_KUBE_CONTEXTS, with commas.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyrig.catalog import refreshed, sized
from skyrig.catalog.prices import Price
from skyrig.catalog.refreshed import Refreshed
from skyrig.catalog.sized import Size
from skyrig.clouds.kubernetes import kubeconfig, looking, merging
from skyrig.clouds.kubernetes.machines import Machine, Toleration
from skyrig.clouds.kubernetes.podspec import CLOUD
from skyrig.errors import SkyrigError

if TYPE_CHECKING:
    from skyrig.task.config import Config

KEPT_S = 60.0
"""How long what was seen is good for."""

CONTEXTS = "SKYRIG_KUBE_CONTEXTS"
"""Variable with the contexts that tasks may go to; "all" is all of the kubeconfig."""

_SKY_CONFIG = "~/.sky/config.yaml"
_SOURCE = "the cluster's nodes"


def look(config: Config | None = None) -> bool:
    """Keep what the clusters have for a task that says `config` as this cloud's price table, where what was kept is
    old, or of other contexts or tolerations; whether the table is another one now. A cluster that does not answer has
    nothing."""
    try:
        names = allowed()
    except SkyrigError:
        names = []  # the kubeconfig is none: `check` says so
    borne = {name: merging.tolerations(config.of_place(CLOUD, name)) if config else [] for name in names}
    source = f"{_SOURCE} {_of(borne)}"
    file = refreshed.table(CLOUD)
    if _kept_source() == source and file.exists() and time.time() - file.stat().st_mtime < KEPT_S:
        return False
    if not names:
        found: list[tuple[str, list[Machine]]] = []
    else:
        with ThreadPoolExecutor(max_workers=8) as pool:
            found = [each for each in pool.map(_seen, borne.items()) if each is not None]
    before = file.read_bytes() if file.exists() else b""
    refreshed.write(CLOUD, offered(found, source), _now())
    return file.read_bytes() != before


def allowed() -> list[str]:
    """The contexts that tasks may go to; only such as the kubeconfig has."""
    known = kubeconfig.contexts()
    named = os.environ.get(CONTEXTS, "")
    wanted: Iterable[str] = [each.strip() for each in named.split(",") if each.strip()] if named else _of_sky()
    if "all" in wanted:
        return sorted(known)
    return [each for each in wanted or [kubeconfig.current()] if each in known]


def offered(found: Iterable[tuple[str, list[Machine]]], source: str) -> Refreshed:
    """The rows for machines by context: of each kind those of which no other one has more of all."""
    rows, types = [], {}
    for context, there in found:
        for each in _largest(there):
            size = Size(each.cpus, round(each.memory_gib, 3), each.accelerator, each.accelerators)
            name = sized.name(size)
            has = (each.accelerator if each.accelerators else "", each.accelerators, each.cpus, size.memory_gib)
            rows.append(Price(CLOUD, context, name, *has, 0.0, None, _now()[:10], source))
            types[name] = {"fabric": each.fabric or "none", "arch": each.arch, "source": _SOURCE}
    return Refreshed(tuple(rows), types, {}, source, len(rows))


def _largest(there: list[Machine]) -> list[Machine]:
    kept: list[Machine] = []
    for each in sorted(there, key=lambda one: (-one.accelerators, -one.cpus, -one.memory_gib)):
        if not any(_has_all(other, each) for other in kept):
            kept.append(each)
    return kept


def _has_all(one: Machine, other: Machine) -> bool:
    same = (one.accelerator, one.arch, one.fabric) == (other.accelerator, other.arch, other.fabric)
    amounts = one.accelerators >= other.accelerators and one.cpus >= other.cpus
    return same and amounts and one.memory_gib >= other.memory_gib


def _seen(asked: tuple[str, Sequence[Toleration]]) -> tuple[str, list[Machine]] | None:
    context, tolerations = asked
    try:
        return context, looking.machines(context, tolerations)
    except SkyrigError:
        return None  # `check` says why


def _of_sky() -> list[str]:
    """What SkyPilot's own config allows; empty where it says nothing."""
    file = Path(os.environ.get("SKYPILOT_CONFIG") or _SKY_CONFIG).expanduser()
    if not file.is_file():
        return []
    import yaml

    try:
        said: Any = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError):
        return []
    listed = (said.get("kubernetes") or {}).get("allowed_contexts") if isinstance(said, dict) else None
    return [listed] if isinstance(listed, str) else [str(each) for each in listed or ()]


def _of(borne: Mapping[str, Sequence[Toleration]]) -> str:
    said = [
        f"{name}={kubeconfig.find(name).account}{json.dumps(tolerations, sort_keys=True) if tolerations else ''}"
        for name, tolerations in borne.items()
    ]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]


def _kept_source() -> str:
    file = refreshed.folder() / f"{CLOUD}.json"
    return str(json.loads(file.read_bytes()).get("source", "")) if file.exists() else ""


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
