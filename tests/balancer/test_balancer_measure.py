"""What went through: counters of workers that come and go, rates over a window, percentiles of what was read."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections import Counter
from pathlib import Path

import pytest
from balancer_lab import Replica, asked, balancer, free_port, frontage

from skyrig.serve.balancer import runtime
from skyrig.serve.balancer.frontage import Server, ServerState
from skyrig.serve.balancer.measure import Meter
from skyrig.serve.balancer.runtime import Away, Counts, Family, Known
from skyrig.serve.balancer.traffic import Histogram, Traffic, parse, percentile


def test_percentiles_are_within_a_hundredth() -> None:
    seen, chance = Histogram(), random.Random(9)
    durations = sorted(chance.lognormvariate(-2, 1) for _ in range(5000))
    for number, duration in enumerate(durations):
        seen.add("r1", duration, now=number / 1000)
    for share in (0.5, 0.9, 0.99):
        exact = durations[round(share * len(durations)) - 1]
        assert percentile(seen.seen(0), share) == pytest.approx(exact, rel=0.02)
    assert percentile(seen.seen(0, "r2"), 0.5) is None and percentile(Counter(), 0.99) is None


def test_a_histogram_forgets_what_is_older_than_the_window_and_stays_small() -> None:
    seen = Histogram()
    for second in range(10_000):
        seen.add("r1", 0.1 if second < 9_900 else 1.0, now=float(second))
    assert percentile(seen.seen(9_960, "r1"), 0.5) == pytest.approx(1.0, rel=0.02)
    assert seen.seen(9_940).total() < 70 and seen.seen(0).total() < 700


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"r1 250 200\n", ("r1", 0.25)),
        (b"r-2.x 0 503", ("r-2.x", 0.0)),
        (b"<NOSRV> 0 401", None),
        (b"Server replicas/r1 is UP/READY", None),
        (b"r1 -1 200", None),
        (b"", None),
    ],
)
def test_lines_of_the_log(line: bytes, found: tuple[str, float] | None) -> None:
    assert parse(line) == found


def test_a_flood_of_lines_costs_little(tmp_path: Path) -> None:
    """A sender that never waits gets rid of far more lines than are read; the reader stays nearly idle."""

    async def flooded() -> tuple[int, float]:
        traffic = Traffic(tmp_path / "log.sock")
        traffic.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            began, spent = time.monotonic(), time.process_time()
            sent, own = 0, 0.0
            while time.monotonic() < began + 1:
                before = time.process_time()
                for _ in range(500):
                    with contextlib.suppress(BlockingIOError):
                        sender.sendto(b"r1 10 200", str(tmp_path / "log.sock"))
                    sent += 1
                own += time.process_time() - before
                await asyncio.sleep(0)
        read = traffic.seen.seen(0).total()
        traffic.close()
        assert sent > 10 * read
        return read, time.process_time() - spent - own

    read, spent = asyncio.run(flooded())
    assert 0 < read <= 2100 and spent < 0.5


def test_sums_go_on_over_workers_and_servers_that_come_again() -> None:
    meter, seen = Meter(), Histogram()
    meter.take({1: {"": Counts(100, 2, 3), "r1": Counts(100, 2, 3)}}, now=0)
    assert meter.measured(seen, 60, 0).total.qps == 0  # what was before is no rate
    old, new = Counts(110, 2, 1), Counts(10, 1, 4)
    meter.take({1: {"": old, "r1": old}, 2: {"": new, "r1": new}}, now=10)
    found = meter.measured(seen, 60, 10)
    assert (found.total.requests, found.total.errors, found.total.in_flight) == (120, 3, 5)
    assert (found.total.qps, found.servers["r1"].qps, found.busy) == (2.0, 2.0, 4.0)
    meter.take({2: {"": Counts(14, 1, 0), "r1": Counts(2, 0, 0)}}, now=20)  # r1 was taken away and added again
    found = meter.measured(seen, 10, 20)
    assert (found.total.requests, found.servers["r1"].requests, found.total.in_flight) == (124, 122, 0)
    assert found.total.qps == pytest.approx(0.4)
    meter.take({}, now=30)
    assert (meter.measured(seen, 10, 30).servers, meter.measured(seen, 10, 30).total.requests) == ({}, 124)


def test_what_haproxy_tells_of_its_processes_and_servers() -> None:
    text = "#<PID> <type> <reloads>\n7 master 2 [failed: 0] 0d00h00m01s 2.6\n# workers\n9 worker 0 0d 2.6\n"
    assert runtime.family(text + "# old workers\n8 worker 1 0d 2.6\n# programs\n5 x - 0d -\n") == Family(7, (9,), (8,))
    with pytest.raises(Away):
        runtime.family("")
    head = "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port"
    rows = [
        "3 replicas 1 hold 127.0.0.1 2 0 1 1",
        "3 replicas 2 r1 10.0.0.1 2 8 1 80",
        "3 replicas 3 r2 fd00::2 2 1 0 80",
    ]
    known = runtime.servers("\n".join(["1", f"# {head}", *rows, "", ""]))
    assert known == {"r1": Known("r1", "10.0.0.1:80", True), "r2": Known("r2", "[fd00::2]:80", True, True)}
    wanted = (Server("r1", "10.0.0.1:80", ServerState.DRAIN), Server("r3", "[fd00::3]:80"))
    assert [steps[0].split()[:2] for steps in runtime.changes(known, wanted)] == [["add", "server"], ["set", "server"]]
    assert not runtime.settled(known, wanted)
    assert runtime.settled({**known, "r3": Known("r3", "[fd00:0::3]:80")}, wanted)  # r2 is out: it gets nothing


def test_loads_are_those_of_what_was_asked(haproxy: Path, two: list[Replica], tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        async with balancer(tmp_path / "b") as it:
            await it.be(frontage(port, two, policy="round_robin"))
            await it.measure()
            began = time.monotonic()
            await asyncio.gather(*(asked(port, "/?ms=100") for _ in range(20)))
            await asyncio.gather(*(asked(port, "/?ms=600") for _ in range(4)))
            await asked(port, "/fault")
            slow = asyncio.create_task(asked(port, "/?ms=1500"))
            counts: list[int] = []
            while sum(counts) != 1:
                counts = [await it.in_flight(each.name) for each in two]
            found = await it.measure()
            took = time.monotonic() - began
            assert found.total.in_flight == 1 and found.servers["r1"].in_flight + found.servers["r2"].in_flight == 1
            assert found.total.requests == found.servers["r1"].requests + found.servers["r2"].requests == 26
            assert found.total.qps == pytest.approx(26 / took, rel=0.1)
            assert (found.total.errors, found.servers["r1"].errors + found.servers["r2"].errors) == (1, 1)
            assert found.total.p50_s and 0.1 <= found.total.p50_s < 0.3
            assert found.total.p99_s and 0.59 <= found.total.p99_s < 1
            assert 'haproxy_server_http_responses_total{proxy="replicas",server="r1",code="2xx"}' in await it.metrics()
            await slow
            assert await it.in_flight("r1") + await it.in_flight("r2") == 0

    asyncio.run(scenario())
