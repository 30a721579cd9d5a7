"""The controller's own Prometheus metrics, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from skyrig.control.ward import JOB, Ward, Wish


def text(wards: Sequence[Ward], runs: Mapping[tuple[str, int], int], at_work: int, since: float, beat: float) -> str:
    """Wards by kind and status, managed jobs also when they are past, with how often they were brought back and why;
    children that ran the engine (`runs`: by act and exit code), those `at_work` now, when the controller began
    (`since`) and when it looked at its table last (`beat`), in seconds since the epoch."""
    known = _jobs([ward for ward in wards if ward.kind == JOB])
    wards = [ward for ward in wards if ward.wish is not Wish.PAST]
    by_status = Counter((ward.kind, ward.status or "NONE") for ward in wards)
    failing = Counter(ward.kind for ward in wards if (ward.data.get("pause") or {}).get("tries"))
    lines = [*_head("skyrig_control_wards", "gauge", "What the controller cares for.")]
    lines += [
        f'skyrig_control_wards{{kind="{kind}",status="{status}"}} {count}'
        for (kind, status), count in sorted(by_status.items())
    ]
    lines += _head("skyrig_control_wards_failing", "gauge", "Wards for which something failed and is tried again.")
    lines += [f'skyrig_control_wards_failing{{kind="{kind}"}} {count}' for kind, count in sorted(failing.items())]
    lines += known
    lines += _head("skyrig_control_work_total", "counter", "Pieces of work done, by act and exit code.")
    lines += [
        f'skyrig_control_work_total{{act="{act}",code="{code}"}} {count}' for (act, code), count in sorted(runs.items())
    ]
    lines += _head("skyrig_control_at_work", "gauge", "Pieces of work under way.")
    lines.append(f"skyrig_control_at_work {at_work}")
    lines += _head("skyrig_control_started_seconds", "gauge", "When the controller began.")
    lines.append(f"skyrig_control_started_seconds {since:.3f}")
    lines += _head("skyrig_control_beat_seconds", "gauge", "When it looked at its table last.")
    lines.append(f"skyrig_control_beat_seconds {beat:.3f}")
    return "\n".join(lines) + "\n"


def _jobs(wards: Sequence[Ward]) -> list[str]:
    """What is told of managed jobs."""
    statuses = Counter(ward.status for ward in wards)
    tasks = [task for ward in wards for task in ward.data.get("job", {}).get("tasks", ())]
    causes = Counter(str(each["cause"]) for task in tasks for each in task["recoveries"])
    lines = _head("skyrig_managed_jobs", "gauge", "Managed jobs by status, those that have ended too.")
    lines += [f'skyrig_managed_jobs{{status="{status}"}} {count}' for status, count in sorted(statuses.items())]
    lines += _head("skyrig_managed_job_recoveries_total", "counter", "Recoveries of managed jobs by cause.")
    lines += [
        f'skyrig_managed_job_recoveries_total{{cause="{cause}"}} {count}' for cause, count in sorted(causes.items())
    ]
    return lines


def _head(name: str, kind: str, said: str) -> list[str]:
    return [f"# HELP {name} {said}", f"# TYPE {name} {kind}"]
