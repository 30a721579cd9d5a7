"""Clouds, machines and money: what can be had, and what it costs."""

from __future__ import annotations

from typing import Any

from skyrig.sdk.answers import OptimizeTarget
from skyrig.sdk.dag import Dag
from skyrig.sdk.missing import not_yet
from skyrig.sdk.request.calls import RequestId, begin


def check(infra_list: tuple[str, ...] | None = None, verbose: bool = False) -> RequestId[dict[str, list[str]]]:
    """Which clouds are usable."""
    raise not_yet("sky.check")


def enabled_clouds() -> RequestId[list[str]]:
    """The usable clouds."""
    raise not_yet("sky.enabled_clouds")


def list_accelerators(
    gpus_only: bool = True, name_filter: str | None = None, region_filter: str | None = None
) -> RequestId[dict[str, list[Any]]]:
    """Accelerators of the catalog."""
    raise not_yet("sky.list_accelerators")


def optimize(dag: Dag, minimize: OptimizeTarget = OptimizeTarget.COST) -> RequestId[Dag]:
    """Choose machines for tasks."""
    raise not_yet("sky.optimize")


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
