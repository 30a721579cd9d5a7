"""A picture in a file: the one module of this room that imports matplotlib (the extra `plots`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skyrig.errors import BadInput
from skyrig.plots.panels import Line, Panel, panels, standing, superseded, told
from skyrig.plots.values import Picture, Segment

KINDS = (".png", ".pdf", ".svg")
"""What a file may end with."""

COLOURS = ("#2f7ed8", "#e07b00", "#1a9850", "#c2478f", "#00a3a3", "#d64533", "#8366d1", "#a58a00")
"""One a line: each is told from the ground, be it white or black, and most from each other without colour vision."""

_INK = "#7a7a7a"
"""Texts and axes: as far from white as from black. The ground is left clear."""


def require(file: Path) -> None:
    """BadInput where a picture cannot be drawn here, or not into `file`."""
    if file.suffix.lower() not in KINDS:
        raise BadInput(f"--plot {file}: a file that ends with {', '.join(KINDS)} is wanted")
    if not file.expanduser().absolute().parent.is_dir():
        raise BadInput(f"--plot {file}: no such folder")
    if file.expanduser().is_dir():
        raise BadInput(f"--plot {file}: that is a folder")
    if importlib.util.find_spec("matplotlib") is None:
        raise BadInput(
            "--plot FILE needs matplotlib", hint="pip install 'skyrig[plots]'; logs --plot alone draws in the terminal"
        )


@contextmanager
def written(file: Path) -> Iterator[Path]:
    """Where to write a picture that is named so; a folder or disk that takes it not is BadInput."""
    try:
        yield file.expanduser()
    except OSError as problem:
        raise BadInput(f"--plot {file}: {problem.strerror}") from problem


def draw(picture: Picture, file: Path) -> None:
    """Draw into `file`, the kind of picture by its name. BadInput where it cannot be written."""
    from matplotlib.figure import Figure

    shown = panels(picture)
    columns = 1 if len(shown) < 3 else 2
    count = -(-len(shown) // columns)
    figure = Figure(figsize=(6.4 * columns, 0.6 + 2.5 * max(1, count)), layout="constrained", facecolor="none")
    figure.suptitle(picture.title, color=_INK, fontsize=12, parse_math=False)
    cells = figure.subplots(max(1, count), columns, squeeze=False)
    flat = [cell for row in cells for cell in row]
    for axes, panel in zip(flat, shown, strict=False):
        _panel(axes, panel)
    for axes in flat[len(shown) :]:
        axes.set_visible(False)
    with written(file) as place:
        figure.savefig(place, dpi=150)


def _panel(axes: Any, panel: Panel) -> None:
    axes.set_facecolor("none")
    axes.set_title(panel.heading, color=_INK, fontsize=10, loc="left")
    axes.set_xlabel(panel.place, color=_INK, fontsize=9)
    axes.tick_params(colors=_INK, labelsize=8)
    axes.grid(color=_INK, alpha=0.2, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_color(_INK)
        spine.set_visible(side in ("left", "bottom"))
    for line in panel.lines:
        _line(axes, line)
    for place, what in _by_place(panel.marks).items():
        axes.axvline(place, color=_INK, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.text(place, 0.99, f" {what}", color=_INK, fontsize=7, va="top", transform=axes.get_xaxis_transform())
    if panel.from_zero:
        low, high = panel.upright
        axes.set_ylim(min(0.0, low), high + 0.06 * (high - min(0.0, low)))
    axes.yaxis.set_major_formatter(lambda value, _: told(value))
    if len(panel.lines) > 1:
        axes.legend(fontsize=8, labelcolor=_INK, frameon=False, ncols=2 if len(panel.lines) > 4 else 1)


def _by_place(marks: Sequence[tuple[float, str]]) -> Mapping[float, str]:
    """All that happened at one place, in one text."""
    found: dict[float, list[str]] = {}
    for place, what in marks:
        if what not in found.setdefault(place, []):
            found[place].append(what)
    return {place: ", ".join(said) for place, said in found.items()}


def _line(axes: Any, line: Line) -> None:
    """All stretches in one colour; what the run went back from is lighter."""
    for each in superseded(line):
        _stretch(axes, line, each, alpha=0.4)
    for number, each in enumerate(standing(line)):
        _stretch(axes, line, each, alpha=0.9, label=line.label if number == 0 else None)


def _stretch(axes: Any, line: Line, each: Segment, *, alpha: float, label: str | None = None) -> None:
    values = [float("nan") if y is None else y for y in each.y]
    colour = _INK if line.faint else COLOURS[line.colour % len(COLOURS)]
    width, dots = (0.9 if line.faint else 1.4), ("o" if len(each.x) < 3 else None)
    axes.plot(each.x, values, color=colour, linewidth=width, alpha=alpha, marker=dots, markersize=3, label=label)
