"""Clouds, machines and money: what can be had, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skyrig.errors import BadInput
from skyrig.sdk.aim import aimed
from skyrig.sdk.answers import InstanceTypeInfo, OptimizeTarget
from skyrig.sdk.dag import Dag
from skyrig.sdk.request.calls import RequestId, begin
from skyrig.sdk.resources import Resources
from skyrig.sdk.task import Task


def check(infra_list: Sequence[str] | None = None, verbose: bool = False) -> RequestId[dict[str, list[str]]]:
    """Which clouds can be used, of those named or of all, under the one key "default"; what was looked at is told, with
    `verbose` also what is well. Makes nothing."""
    return begin("check", clouds=None if infra_list is None else list(infra_list), verbose=verbose)


def enabled_clouds() -> RequestId[list[str]]:
    """The clouds that can be used as far as files and variables tell: nobody is asked."""
    return begin("enabled_clouds")


def list_accelerators(
    gpus_only: bool = True,
    name_filter: str | None = None,
    region_filter: str | None = None,
    quantity_filter: float | None = None,
    clouds: Sequence[str] | str | None = None,
    all_regions: bool = False,
    require_price: bool = True,
    case_sensitive: bool = True,
) -> RequestId[dict[str, list[InstanceTypeInfo]]]:
    """Types with accelerators by the accelerator's name, the cheapest first, each in its cheapest region or, with
    `all_regions`, in all. Filters are regular expressions that are looked for in the names; `quantity_filter` is the
    count a node, `clouds` are names in any case. Without `require_price` types are among them that have no known price
    on demand. With `gpus_only` there is no TPU and the like."""
    return begin(
        "list_accelerators",
        gpus_only=gpus_only,
        name_filter=name_filter,
        region_filter=region_filter,
        quantity_filter=quantity_filter,
        clouds=[clouds] if isinstance(clouds, str) else clouds,
        all_regions=all_regions,
        require_price=require_price,
        case_sensitive=case_sensitive,
    )


def optimize(dag: Dag | Task, minimize: OptimizeTarget = OptimizeTarget.COST) -> RequestId[Dag]:
    """Choose machines for tasks, on clouds that can be used: gives the Dag, whose tasks have what was chosen as
    `best_resources`. TIME goes by the tasks' own hours (Task.set_time_estimator)."""
    tasks = [dag] if isinstance(dag, Task) else dag.tasks
    if not tasks:
        raise BadInput("the Dag holds no task")

    def chosen(found: list[dict[str, Any]]) -> Dag:
        whole = Dag() if isinstance(dag, Task) else dag
        for task, fields in zip(tasks, found, strict=True):
            whole.add(task)
            task.best_resources = Resources.from_yaml_config(fields)
        return whole

    return begin("optimize", then=chosen, tasks=[aimed(task.value, minimize) for task in tasks])


def cost_report(days: int | None = None) -> RequestId[list[dict[str, Any]]]:
    """What each cluster has cost in the last `days` days (30), also those that are gone: rows with name, launched_at,
    duration (seconds), num_nodes, resources, total_cost (USD), status (None: it is gone), cloud, region, accelerators
    and usage_intervals."""
    return begin("cost_report", days=days)


def storage_ls() -> RequestId[list[dict[str, Any]]]:
    """Buckets that were made here: rows with name, store, url, stack, region, endpoint and persistent."""
    return begin("storage_ls")


def storage_delete(name: str) -> RequestId[None]:
    """Delete a bucket that was made here, with all that is in it. Nobody is asked."""
    return begin("storage_delete", bucket=name)
