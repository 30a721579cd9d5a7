"""What went through the balancer: sums of HAProxy's counters over restarts of it, and rates over a window."""

from __future__ import annotations

from collections import deque

from attrs import define, field, frozen

from skyrig.serve.balancer.runtime import Counts
from skyrig.serve.balancer.traffic import Histogram, percentile
from skyrig.serve.state import Load

_LONGEST_S = 600.0
_MOST_SAMPLES = 1200


@frozen
class Measured:
    """What was asked for over the window: in `total`, and of each of the `servers` by name. `busy` is the mean number
    of requests in flight over the window. It and `total.in_flight` include requests that wait for a server."""

    total: Load = field(factory=Load)
    servers: dict[str, Load] = field(factory=dict)
    busy: float = 0.0


@frozen
class _Sample:
    """Sums of requests by server ("": all) at the moment `at`, and how many of all ran."""

    at: float
    requests: dict[str, int]
    in_flight: int


@define
class _Sums:
    """What one server, or all, were asked for since the first sample, and the last counters of each worker."""

    requests: int = 0
    errors: int = 0
    last: dict[int, Counts] = field(factory=dict)


class Meter:
    """Adds up the counters of workers, which begin at 0 in each, and keeps samples for rates."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}
        self._samples: deque[_Sample] = deque(maxlen=_MOST_SAMPLES)

    def take(self, workers: dict[int, dict[str, Counts]], now: float) -> None:
        """Note the counters of each worker (by pid) at `now`, seconds of some clock. Those of the first time make the
        sums, and no rate."""
        for name in {name for each in workers.values() for name in each}:
            sums = self._sums.setdefault(name, _Sums())
            for pid, each in workers.items():
                if name in each:
                    self._add(sums, pid, each[name])
        for name, sums in list(self._sums.items()):
            sums.last = {pid: last for pid, last in sums.last.items() if name in workers.get(pid, {})}
            if name and not sums.last:
                del self._sums[name]
        requests = {name: sums.requests for name, sums in self._sums.items()}
        if not self._samples or now - self._samples[-1].at >= _LONGEST_S / _MOST_SAMPLES:
            self._samples.append(_Sample(now, requests, self._in_flight("")))

    def _add(self, sums: _Sums, pid: int, counts: Counts) -> None:
        before = sums.last.get(pid, Counts(0, 0, 0))
        if counts.requests < before.requests:  # a server of that name went and came again
            before = Counts(0, 0, 0)
        sums.requests += counts.requests - before.requests
        sums.errors += max(0, counts.errors - before.errors)
        sums.last[pid] = counts

    def _in_flight(self, name: str) -> int:
        return sum(each.in_flight for each in self._sums[name].last.values()) if name in self._sums else 0

    def measured(self, seen: Histogram, window_s: float, now: float) -> Measured:
        """The loads at `now`, rates and percentiles over the last `window_s` seconds."""
        servers = {name: self._load(name, seen, window_s, now) for name in self._sums}
        total = servers.pop("", Load())
        within = [sample.in_flight for sample in self._samples if sample.at >= now - window_s]
        return Measured(total, servers, sum(within) / len(within) if within else 0.0)

    def _load(self, name: str, seen: Histogram, window_s: float, now: float) -> Load:
        answers = seen.seen(now - window_s, name or None)
        sums = self._sums[name]
        return Load(
            qps=self._rate(name, window_s, now),
            in_flight=self._in_flight(name),
            p50_s=percentile(answers, 0.5),
            p99_s=percentile(answers, 0.99),
            requests=sums.requests,
            errors=sums.errors,
        )

    def _rate(self, name: str, window_s: float, now: float) -> float:
        """Requests a second since the last sample before the window, or the first one in it."""
        first = None
        for sample in self._samples:
            if first is None or sample.at <= now - window_s:
                first = sample
        if first is None or now <= first.at:
            return 0.0
        return (self._sums[name].requests - first.requests.get(name, 0)) / (now - first.at)
