"""Price tables: what is wrong in one is told by its line, and what was compiled is opened again."""

from __future__ import annotations

import datetime
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from skyrig import places
from skyrig.catalog import market, prices, sheet
from skyrig.errors import BadInput

HEADER = ",".join(sheet.COLUMNS)
ROW = "aws,us-east-1,p5.48xlarge,H100,8,192,2048,55.04,,2026-07-20,somewhere"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: is empty"),
        (HEADER, ": has no prices"),
        (HEADER.replace(",as_of", ""), ":1: lacks the column as_of"),
        (f"{HEADER},colour\n{ROW},red", ":1: has an unknown column colour"),
        (f"{HEADER},cloud\n{ROW},aws", ":1: has twice the column cloud"),
        (f"{HEADER}\n{ROW}\n{ROW},more", ":3: 12 fields, the header has 11"),
        (f"{HEADER}\n{ROW.replace('55.04', 'much')}", ":2: on_demand_usd_hour: 'much' is no amount"),
        (f"{HEADER}\n{ROW.replace('55.04', '-1')}", ":2: on_demand_usd_hour: '-1' is no amount"),
        (f"{HEADER}\n{ROW.replace('55.04', 'nan')}", ":2: on_demand_usd_hour: 'nan' is no amount"),
        (f"{HEADER}\n\n{ROW.replace('us-east-1', '')}", ":3: region is empty"),
        (f"{HEADER}\n{ROW.replace('aws', 'awz')}", ":2: 'awz' is no cloud (did you mean aws?)"),
        (f'{HEADER}\n{ROW}"\n"', ":3: "),
        ("\ufeff" + HEADER.replace("cloud", "cl\u00f6ud"), ":1: lacks the column cloud"),
    ],
)
def test_what_is_wrong_in_a_table_is_told(tmp_path: Path, cache: Path, text: str, said: str) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as told:
        market.of_file(file)
    assert (str(told.value).startswith(f"{file}{said}") and told.value.hint is not None) or "fields" in said
    assert not list(cache.rglob("*.sqlite"))


def test_what_is_no_table_at_all_is_told(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    with pytest.raises(BadInput, match="No such file"):
        market.of_file(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="no text in UTF-8"):
        market.of_file(file)


def test_a_table_is_compiled_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(f"{HEADER}\n{ROW}\n", encoding="utf-8")
    first = prices.of_file(file)
    [compiled] = cache.rglob("prices-*.sqlite")
    monkeypatch.setattr(sheet, "rows", lambda *_: pytest.fail("the text was read again"))
    again = prices.of_file(file)
    assert again.rows("aws") == first.rows("aws") and again.machines == first.machines
    monkeypatch.undo()
    monkeypatch.setenv("SKYRIG_CACHE", str(cache))
    compiled.write_bytes(b"not what was written")
    assert prices.of_file(file).rows("aws") == first.rows("aws")
    file.write_text(f"{HEADER}\n{ROW.replace('55.04', '50')}\n", encoding="utf-8")
    assert prices.of_file(file).rows("aws")[0].on_demand == 50


def test_an_unwritable_cache_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path / "file"))
    assert prices.of_file(prices.FILE).rows("aws") == prices.rows("aws")
    assert not places.cache().is_dir()


def test_processes_may_compile_at_once(cache: Path) -> None:
    code = "from skyrig.catalog import prices; print(len(prices.rows('aws')))"
    begun = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {each.communicate(timeout=60)[0] for each in begun} == {f"{len(prices.rows('aws'))}\n"}
    assert [each.name.endswith(".sqlite") for each in (cache / "catalog").iterdir()] == [True]


def test_threads_may_look_at_once() -> None:
    found: list[float | None] = []
    looking = [
        threading.Thread(target=lambda: found.append(prices.hourly("aws", "us-east-1", "p5.48xlarge", spot=False)))
        for _ in range(8)
    ]
    for each in looking:
        each.start()
    for each in looking:
        each.join()
    assert found == [55.04] * 8


def test_the_compiled_table_holds_every_row() -> None:
    there = {row for cloud in prices.shipped().clouds for row in prices.rows(cloud)}
    assert there == set(prices.read(prices.FILE))


@pytest.mark.parametrize(
    ("as_of", "said"),
    [
        ("2026-11-22", "of today"),
        ("2026-11-21", "1 day old"),
        ("2026-07-20", "4 months old"),
        ("2024-11-20", "2 years old"),
        ("2026", "of 2026"),
        ("2025-11+", "of 2025-11"),
        ("2025 (file in repo at 2026-08-19)", "of 2025"),
        ("", "of an unknown date"),
    ],
)
def test_ages_in_words(as_of: str, said: str) -> None:
    assert prices.age(as_of, datetime.date(2026, 11, 22)) == said
