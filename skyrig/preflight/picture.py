"""What was measured as a picture: bars in the terminal, a PNG where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skyrig.preflight.report import BAD, OK, Report, said

_WIDTH = 32
_BLOCKS = " ▏▎▍▌▋▊▉█"
_COLOURS = {OK: "#3b7dd8", BAD: "#c23b3b"}
_OTHER = "#d8a23b"


def bars(report: Report) -> Iterator[str]:
    """One line a node that was measured: what it reached in its best pair."""
    measured = [node for node in report.nodes if node.rate is not None]
    most = max((node.rate or 0.0 for node in measured), default=0.0)
    wide = max((len(node.id) for node in measured), default=0)
    for node in measured:
        mark = "" if node.status == OK else f"  {node.status}"
        yield f"{node.id:{wide}}  {bar((node.rate or 0.0) / most if most else 0.0)}  {said(node.rate or 0.0)}{mark}"


def bar(share: float, width: int = _WIDTH) -> str:
    """A bar of `width` characters, filled by `share` of it in steps of an eighth of a character."""
    eighths = round(max(0.0, min(share, 1.0)) * width * 8)
    rest = _BLOCKS[eighths % 8] if eighths % 8 else ""
    return ("█" * (eighths // 8) + rest).ljust(width)


def matrix(report: Report) -> list[list[float | None]]:
    """What each pair reached, by the nodes' order: the best of its measurements, None where there is none."""
    numbers = {node.id: number for number, node in enumerate(report.nodes)}
    rows: list[list[float | None]] = [[None] * len(numbers) for _ in numbers]
    for pair in report.pairs:
        one, other = numbers[pair.one], numbers[pair.other]
        rate = max(pair.rate, rows[one][other] or 0.0)
        rows[one][other] = rows[other][one] = rate
    return rows


def draw(report: Report, file: Path) -> None:
    """Draw bars and the matrix of pairs into `file`, the kind of picture by its name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _bars(left, report)
    _matrix(right, report, figure)
    figure.suptitle(f"{report.cluster}: all-reduce {said(report.measured.rate)} ({report.measured.meter or 'none'})")
    figure.savefig(file)


def _bars(axes: Any, report: Report) -> None:
    names = [node.id for node in report.nodes]
    colours = [_COLOURS.get(node.status, _OTHER) for node in report.nodes]
    axes.barh(names, [(node.rate or 0.0) / 1e9 for node in report.nodes], color=colours)
    axes.invert_yaxis()
    axes.set_xlabel("best pair, GB/s")
    if report.expected:
        axes.axvline(report.expected / 1e9, color="black", linestyle="--", label="expected")
        axes.legend()


def _matrix(axes: Any, report: Report, figure: Any) -> None:
    names = [node.id for node in report.nodes]
    rows = [[float("nan") if rate is None else rate / 1e9 for rate in row] for row in matrix(report)]
    shown = axes.imshow(rows, cmap="viridis", vmin=0.0)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    figure.colorbar(shown, ax=axes, label="pair, GB/s")
