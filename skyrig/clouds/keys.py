"""Keys of clouds that have one and no SDK: in a variable, else in the file where the cloud's own tools keep it."""

from __future__ import annotations

import os
import re
from pathlib import Path


def found(variable: str, file: str, name: str) -> str:
    """The key: what `variable` says, else what `name` is set to in `file` (NAME = KEY lines); "" where neither is."""
    if given := os.environ.get(variable, ""):
        return given
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    line = re.search(rf"""^\s*{name}\s*=\s*["']?([^\s"']+)""", text, re.MULTILINE)
    return line[1] if line else ""
