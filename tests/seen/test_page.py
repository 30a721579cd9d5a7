"""The status page: its data, who may read it, and what a real browser shows."""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import Element, look
from hypothesis import given
from hypothesis import strategies as st
from snapshots import BUSY, NASTY, busy

from skyrig.errors import SkyrigError
from skyrig.serve.page import answers
from skyrig.serve.page.history import KEEP_S, History
from skyrig.serve.page.opening import Page, Watched, answering, open_page
from skyrig.serve.state import Snapshot


async def never() -> AsyncIterator[Snapshot]:
    """A service of which nothing is heard."""
    await asyncio.Event().wait()
    yield BUSY


@contextmanager
def served(page: Page) -> Iterator[str]:
    """The page on a port of its own, in a thread; its URL."""
    told: list[str] = []
    up, over = threading.Event(), threading.Event()

    async def main() -> None:
        async with answering(page, 0) as url:
            told.append(url)
            up.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert up.wait(30)
        yield told[0]
    finally:
        over.set()
        thread.join()


def got(url: str, **headers: str) -> tuple[int, bytes]:
    """Status and body of what is at `url`."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_half_an_hour_is_kept_one_point_a_second() -> None:
    history = History("chat")
    for at in range(0, 4 * 4000, 3):  # four quarters of a second a second
        history.take(busy(qps=float(at)), 10_000 + at / 4)
    slots = [point.slot for point in history.points]
    assert slots == sorted(set(slots))
    assert slots[-1] - slots[0] <= KEEP_S < slots[-1] - slots[0] + 2
    assert history.points[-1].qps == 15_999, "of two within a second, the later one"
    had = history.serial
    history.take(busy(qps=1.0), 20_000.0)
    assert [point.qps for point in history.since(had)] == [1.0], "only what the browser has not got"


@given(st.floats(), st.none() | st.floats())
def test_any_number_becomes_json(qps: float, p50: float | None) -> None:
    history = History("chat")
    history.take(busy(qps=qps, p50_s=p50), 5.0)
    first = json.loads(json.dumps(history.to_json(0, ""), allow_nan=False))["points"][0]
    assert first[:2] == [5, qps if math.isfinite(qps) else None]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_none(head: bytes) -> None:
    found = answers.read(head, "secret")
    assert found is None or found.place is None


def test_only_who_has_the_url_sees_the_page() -> None:
    history = History("chat", "127.0.0.1:30001")
    history.take(BUSY, time.time())
    with served(Page((Watched("chat", never),), {"chat": history})) as url:
        base, port = url.rsplit("/", 2)[0], url.split(":")[2].split("/")[0]
        assert got(url)[0] == 200 and b"Skyrig services" in got(url)[1]
        for path in ("/", "/data.json", "/wrong/data.json", "//data.json", url.split("/")[3][:-1], "/x" * 4000):
            assert got(f"{base}/{path.lstrip('/')}")[0] == 404, path
        assert got(url + "else")[0] == 404 and got(url + "metrics")[0] == 404
        assert got(url + "data.json", Host=f"rebound.example:{port}")[0] == 400
        assert got(url + "data.json", Host=f"localhost:{port}")[0] == 200
        with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as line:
            line.sendall(b"POST /%s/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n" % url.split("/")[3].encode())
            assert line.recv(100).startswith(b"HTTP/1.1 405 ")
        told = json.loads(got(url + "data.json?chat=1&other=x")[1])["services"][0]
        assert (told["name"], told["points"], told["serial"]) == ("chat", [], 1)


def test_snapshots_come_in_and_silence_is_told() -> None:
    lines: list[str] = []
    tries = []
    again = asyncio.Event()

    async def twice() -> AsyncIterator[Snapshot]:
        tries.append(1)
        if len(tries) == 1:
            yield BUSY
        else:
            again.set()
        raise SkyrigError("nobody answers", hint="look")

    async def text() -> str:
        return "# TYPE skyrig_up gauge\nskyrig_up 1\n"

    async def main() -> tuple[dict[str, Any], str]:
        services = [Watched("chat", twice, away=lambda: "controller away")]
        page = asyncio.create_task(open_page(services, notify=lines.append, metrics=text))
        await asyncio.wait_for(again.wait(), 30)  # tried again after it failed
        url = re.search(r"http\S+", lines[0])[0]  # type: ignore[index]
        found = json.loads((await asyncio.to_thread(got, url + "data.json"))[1])
        told = (await asyncio.to_thread(got, url + "metrics"))[1].decode()
        page.cancel()
        with pytest.raises(asyncio.CancelledError):
            await page
        with pytest.raises(urllib.error.URLError):
            await asyncio.to_thread(got, url)
        return found["services"][0], told

    service, told = asyncio.run(main())
    assert service["trouble"] == "nobody answers (look)" and service["silent_since"] == service["came_at"] > 0
    assert service["snapshot"]["status"] == "READY" and service["away"] == "controller away"
    assert told.splitlines()[-1] == "skyrig_up 1"


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SkyrigError, match=f"cannot be served on port {port}"):
            asyncio.run(open_page([], port=port, notify=print))


def test_what_a_browser_shows(tmp_path: Path) -> None:
    now = time.time()
    chat, other = History("chat", "127.0.0.1:30001"), History("em<b>ed", "127.0.0.1:30002")
    for ago in range(280, -1, -10):
        known = None if ago == 100 else 0.1 + ago / 1000
        chat.take(busy(qps=50 + 30 * math.sin(ago / 40), p50_s=known, p99_s=2.5 * known if known else None), now - ago)
    other.lose("connection refused", now)
    services = (
        Watched("chat", never, away=lambda: "not scaling: controller away since 12:31"),
        Watched("em<b>ed", never),
    )
    with served(Page(services, {"chat": chat, "em<b>ed": other})) as url:
        seen = look(url, tmp_path)
        points = json.loads(got(url + "data.json")[1])["services"][0]["points"]
    assert seen.console == [], "no error, and nothing that a replica wrote has run"
    assert not [each for each in seen.elements if each.tag in ("img", "b") and "data-tile" not in each.attributes]
    assert [each.attributes["data-service"] for each in seen.all("data-service")] == ["chat", "em<b>ed"]
    section = seen.one("data-service", "chat").text
    for words in ("READY", "version 2 (serving 1), update under way", "127.0.0.1:30001", "controller away since 12:31"):
        assert words in section
    assert "3 replicas for 50 requests a second" in section, "why more are wanted than there are"
    tiles = {each.attributes["data-tile"]: each.text for each in seen.all("data-tile")[:7]}
    assert tiles["qps"] == "50" and tiles["p50"] == "100 ms" and tiles["p99"] == "250 ms" and tiles["tokens"] == "812"
    assert tiles["replicas"] == "1 / 3" and tiles["errors"] == "7 / 12.3k" and tiles["in-flight"] == "3"
    rows = {each.attributes["data-replica"]: each.text for each in seen.all("data-replica")}
    assert "1h 1m" in rows["1"] and "10.0.0.1:8000" in rows["1"] and "480 ms" in rows["1"]
    assert "1m 30s" in rows["2"] and rows["2"].count(NASTY) == 2, "what it said stands there letter by letter"
    assert "no word from its head" in seen.one("data-service", "em<b>ed").text
    figures = {each.attributes["data-plot"]: each for each in seen.all("data-plot")[:4]}
    lines = {each.attributes["data-line"]: each for each in seen.all("data-line")[:6]}
    for plot, line, at in [
        ("qps", "qps", 1),
        ("latency", "p50", 3),
        ("latency", "p99", 4),
        ("in-flight", "in flight", 2),
    ]:
        expected = [(point[0], point[at]) for point in points if point[at] is not None]
        found = drawn(figures[plot], lines[line])
        assert len(found) == len(expected) == (28 if plot == "latency" else 29)
        for (second, value), (slot, number) in zip(found, expected, strict=True):
            assert second == pytest.approx(slot, abs=0.6)
            assert value == pytest.approx(number, abs=float(figures[plot].attributes["data-most"]) / 5000)
    assert lines["p50"].attributes["d"].count("M") == 2, "a gap where nothing was known"


def drawn(figure: Element, line: Element) -> list[tuple[float, float]]:
    """(second, value) of each point of a drawn line, read back from its place in the plot."""
    size = {name: float(value) for name, value in figure.attributes.items() if re.fullmatch(r"[-\d.]+", value)}
    begin, end, most = size["data-begin"], size["data-end"], size["data-most"]
    found = []
    for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", line.attributes["d"]):
        along = (float(x) - size["data-left"]) / (size["data-right"] - size["data-left"])
        up = (size["data-low"] - float(y)) / (size["data-low"] - size["data-high"])
        found.append((begin + along * (end - begin), up * most))
    return found
