"""A picture for a terminal: panels below one another, lines of braille dots, each node in its colour.

Texts for rich's markup-free Text come out as (text, style) pieces, so that this needs no library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import define, field

from skyrig.plots.panels import Line, Panel, panels, standing, superseded, told
from skyrig.plots.values import Picture, Segment

COLOURS = ("blue", "yellow", "green", "magenta", "cyan", "red", "bright_blue", "bright_yellow")
"""Names of the terminal's own colours, which its user has chosen to be read on its ground."""

HEIGHT = 7
"""Rows of a panel's field."""

_DIM = "dim"
_LABEL = 9
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))

_PLAIN = str.maketrans({"┤": "+", "│": "|", "└": "+", "─": "-", "━": "=", "┊": ":"})
_PLAIN |= {0x2800 + bits: "*" for bits in range(1, 256)}

Row = list[tuple[str, str]]
"""One line on the screen: texts with the style of each ("": plain)."""


@define
class _Field:
    """Braille cells, two dots wide and four high each; the cell has the colour of what was drawn into it last."""

    columns: int
    rows: int
    cells: dict[tuple[int, int], int] = field(factory=dict)
    styles: dict[tuple[int, int], str] = field(factory=dict)

    def dot(self, across: int, down: int, style: str) -> None:
        """Set one dot, counted from the left and from above."""
        if 0 <= across < 2 * self.columns and 0 <= down < 4 * self.rows:
            cell = (across // 2, down // 4)
            self.cells[cell] = self.cells.get(cell, 0) | _DOTS[across % 2][down % 4]
            self.styles[cell] = style

    def row(self, down: int) -> Row:
        """One row of cells, those of one style together."""
        found: Row = []
        for across in range(self.columns):
            bits, style = self.cells.get((across, down), 0), self.styles.get((across, down), "")
            text = chr(0x2800 + bits) if bits else " "
            if found and found[-1][1] == style:
                found[-1] = (found[-1][0] + text, style)
            else:
                found.append((text, style))
        return found


def rows(picture: Picture, width: int) -> Iterator[Row]:
    """The whole picture, line by line, `width` columns wide at most."""
    yield [(picture.title, "bold")]
    for panel in panels(picture):
        yield []
        yield from _panel(panel, max(20, width - _LABEL - 2))


def plain(row: Row) -> Row:
    """The same for a terminal that knows ASCII alone."""
    return [(text.translate(_PLAIN).encode("ascii", "replace").decode(), style) for text, style in row]


def _head(panel: Panel, columns: int) -> Iterator[Row]:
    """What it shows, and the names of its lines, in as many rows as these need."""
    row: Row = [(" " * (_LABEL + 2), ""), (panel.heading, "bold")]
    taken = len(panel.heading)
    for line in panel.lines if len(panel.lines) > 1 else ():
        if taken + 5 + len(line.label) > columns:
            yield row
            row, taken = [(" " * (_LABEL + 2), "")], 0
        row += [("   ", ""), ("━ ", _style(line)), (line.label, "")]
        taken += 5 + len(line.label)
    yield row


def _panel(panel: Panel, columns: int) -> Iterator[Row]:
    yield from _head(panel, columns)
    canvas = _Field(columns, HEIGHT)
    for place, _ in panel.marks:
        for down in range(0, 4 * HEIGHT, 2):
            canvas.dot(_at(place, panel.across, 2 * columns), down, _DIM)
    for line in panel.lines:
        for segment in superseded(line):
            _draw(canvas, panel, segment, _DIM)
        for segment in standing(line):
            _draw(canvas, panel, segment, _style(line))
    low, high = panel.upright
    labels = {0: told(high), HEIGHT // 2: told(low + (high - low) / 2), HEIGHT - 1: told(low)}
    for down in range(HEIGHT):
        edge = "┤" if down in labels else "│"
        yield [(f"{labels.get(down, ''):>{_LABEL}} ", _DIM), (edge, _DIM), *canvas.row(down)]
    yield [(" " * (_LABEL + 1) + "└" + "─" * columns, _DIM)]
    yield [(" " * (_LABEL + 2) + _foot(panel, columns), _DIM)]
    if panel.marks:
        yield [(" " * (_LABEL + 2) + _marks(panel.marks)[:columns], _DIM)]


def _foot(panel: Panel, columns: int) -> str:
    """The ends of the axis, and between them what it counts."""
    left, right = (told(each) for each in panel.across)
    return f"{left}{panel.place:^{max(0, columns - len(left) - len(right))}}{right}"


def _marks(marks: Sequence[tuple[float, str]]) -> str:
    shown = ", ".join(f"{what} at {told(place)}" for place, what in marks[:6])
    return f"┊ {shown}" + (f" and {len(marks) - 6} more" if len(marks) > 6 else "")


def _style(line: Line) -> str:
    return _DIM if line.faint else COLOURS[line.colour % len(COLOURS)]


def _draw(canvas: _Field, panel: Panel, segment: Segment, style: str) -> None:
    """A line from point to point; a value that is none is a gap."""
    before: tuple[int, int] | None = None
    for x, y in zip(segment.x, segment.y, strict=True):
        if y is None:
            before = None
            continue
        across = _at(x, panel.across, 2 * canvas.columns)
        down = 4 * canvas.rows - 1 - _at(y, panel.upright, 4 * canvas.rows)
        for dot in _between(before or (across, down), (across, down)):
            canvas.dot(*dot, style)
        before = (across, down)


def _at(value: float, over: tuple[float, float], dots: int) -> int:
    low, high = over
    return round((value / 2 - low / 2) / (high / 2 - low / 2) * (dots - 1))  # halves: a range may be wider than a float


def _between(a: tuple[int, int], b: tuple[int, int]) -> Iterator[tuple[int, int]]:
    steps = max(abs(b[0] - a[0]), abs(b[1] - a[1]), 1)
    for step in range(steps + 1):
        yield a[0] + round((b[0] - a[0]) * step / steps), a[1] + round((b[1] - a[1]) * step / steps)
