"""The toy model: which word follows which, in the documentation of Python's own library."""

from __future__ import annotations

import itertools
import random
import re
import sysconfig
from collections import Counter, defaultdict
from pathlib import Path

Table = dict[str, Counter[str]]


def learnt() -> Table:
    """Counts of followers by word."""
    table: Table = defaultdict(Counter)
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("[a-m]*.py")):
        for said in re.findall(r'"""(.*?)"""', file.read_text(encoding="utf-8"), re.DOTALL):
            found = re.findall(r"[a-z]+", said.lower())
            for word, follower in itertools.pairwise(found):
                table[word][follower] += 1
    return table


def continued(table: Table, text: str, count: int) -> str:
    """`text` and up to `count` words more: the same ones for the same text."""
    said, chance = text.split(), random.Random(text)
    for _ in range(count):
        followers = table.get(said[-1].lower())
        if not followers:
            break
        said += chance.choices(list(followers), list(followers.values()))
    return " ".join(said)
