"""What was measured as bars, as a matrix and as a PNG."""

from __future__ import annotations

from pathlib import Path

import pytest

from skyrig.preflight import picture
from skyrig.preflight.report import BAD, Measured, NodeReport, PairRate, Report, said

PAIRS = (PairRate("n0", "n1", 2e9), PairRate("n0", "n2", 1e6), PairRate("n0", "n1", 1e9, alone=True))
REPORT = Report(
    "c",
    (NodeReport("n0", rate=2e9), NodeReport("n1", rate=2e9), NodeReport("n2", BAD, ("its link",), 1e6)),
    Measured("tcp", 1e9),
    PAIRS,
)


def test_bars_are_as_long_as_what_was_reached() -> None:
    lines = list(picture.bars(REPORT))
    assert lines[0] == f"n0  {'█' * 32}  2 GB/s"
    assert lines[2] == f"n2  {' ' * 32}  1 MB/s  bad"
    assert picture.bar(0.5, 4) == "██  "
    assert picture.bar(3 / 32, 4) == "▍   "


def test_a_pair_stands_on_both_sides_with_its_best() -> None:
    assert picture.matrix(REPORT) == [[None, 2e9, 1e6], [2e9, None, None], [1e6, None, None]]


def test_rates_for_the_reader() -> None:
    assert [said(each) for each in (0.0, 5e4, 1.25e6, 392e9)] == ["nothing", "50 kB/s", "1.25 MB/s", "392 GB/s"]


def test_a_png_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture.draw(REPORT, tmp_path / "links.png")
    assert (tmp_path / "links.png").read_bytes().startswith(b"\x89PNG")
