"""The catalog's files of facts, one folder a cloud: JSON objects that name their date (`made`) and sources."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("data")
"""Folder of the catalog's files."""


@functools.cache
def common(noun: str) -> Mapping[str, Any]:
    """What `data/NOUN.json` says of all clouds."""
    said: dict[str, Any] = json.loads((DATA / f"{noun}.json").read_bytes())
    return said


@functools.cache
def of(cloud: str, noun: str) -> Mapping[str, Any]:
    """What `data/CLOUD/NOUN.json` says; empty where there is no such file."""
    file = DATA / cloud / f"{noun}.json"
    said: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
    return said


@functools.cache
def clouds() -> tuple[str, ...]:
    """Names of the clouds that the catalog knows something of."""
    return tuple(sorted(folder.name for folder in DATA.iterdir() if folder.is_dir()))
