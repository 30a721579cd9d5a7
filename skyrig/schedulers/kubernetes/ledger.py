"""What a stack's jobs leave on the cluster: a ConfigMap with the next number, the numbers of submissions by their keys,
and the records of jobs that ended, for JobSets go when they are cancelled or their time is over.

Numbers are given under the object's version: of two clients that ask at once, one asks again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from skyrig.errors import SkyrigError
from skyrig.launch.job import CONVERTER, JobRecord
from skyrig.schedulers.kubernetes import names
from skyrig.schedulers.kubernetes.api import CORE, Api

NEXT = "next"

_KEPT = 300
"""Records, and keys, that stay: an object may not be larger than 1 MiB."""

_TRIES = 50


def begun(stack: str, owner: str) -> dict[str, Any]:
    """The ledger of a stack that has had no job."""
    labels = {names.STACK: names.slug(stack), names.OWNER: names.label(owner)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": names.ledger(stack), "labels": labels, "annotations": {names.USER: owner}},
        "data": {NEXT: "1"},
    }


async def number(api: Api, stack: str, key: str, least: int = 1) -> tuple[int, bool]:
    """(number of the job with this key, whether it is new); a new one is at least `least`, and no job had it before."""
    entry = names.key(key)
    for _ in range(_TRIES):
        there = await _there(api, stack)
        data = dict(there.get("data") or {})
        if entry in data:
            return int(data[entry]), False
        given = max(int(data.get(NEXT, "1")), least)
        fresh = _pruned({**data, NEXT: str(given + 1), entry: str(given)})
        if await api.replace(_path(api, stack), {**there, "data": fresh}):
            return given, True
    raise SkyrigError(f"{stack}: too many ask for job numbers at once", hint="try again")


async def records(api: Api, stack: str) -> dict[int, JobRecord]:
    """The records of jobs that ended, by number."""
    data = (await _there(api, stack)).get("data") or {}
    return {int(name[4:]): CONVERTER.structure(json.loads(text), JobRecord)
            for name, text in data.items() if name.startswith("job.")}  # fmt: skip


async def keep(api: Api, stack: str, ended: Sequence[JobRecord]) -> None:
    """Keep the records of jobs that ended."""
    if ended:
        texts = {f"job.{record.id}": json.dumps(CONVERTER.unstructure(record)) for record in ended}
        await api.patch(_path(api, stack), {"data": texts})


async def _there(api: Api, stack: str) -> dict[str, Any]:
    found = await api.get(_path(api, stack))
    if found is None:
        raise SkyrigError(
            f"{stack}: its ledger {names.ledger(stack)} is gone from namespace {api.namespace} of {api.context}",
            hint=f"`up -c {stack}` makes it again, and numbers go on after those that are known here",
        )
    return found


def _path(api: Api, stack: str) -> str:
    return api.path(CORE, "configmaps", names.ledger(stack))


def _pruned(data: Mapping[str, str]) -> dict[str, str]:
    """Without the oldest entries, where they are too many."""
    keys = sorted((name for name in data if name.startswith("key.")), key=lambda name: int(data[name]))
    jobs = sorted((name for name in data if name.startswith("job.")), key=lambda name: int(name[4:]))
    gone = {*keys[:-_KEPT], *jobs[:-_KEPT]}
    return {name: text for name, text in data.items() if name not in gone}
