"""Tables on a terminal. Light; only drawing one imports rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO


def draw(heads: Sequence[str], rows: Sequence[Sequence[str]], screen: TextIO) -> None:
    """Draw a table on `screen`, a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(file=screen).print(drawn)
