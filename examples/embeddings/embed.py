"""Embeds every n-th text and puts the shard into the bucket when it is whole."""

from __future__ import annotations

import argparse
import ast
import itertools
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import encoder
import shards

BATCH = 256


def texts_of(source: str) -> Iterator[str]:
    """The texts: those of a data set of the hub, streamed, or the documentation in Python's own library."""
    if source != "stdlib":
        from datasets import load_dataset

        name, _, config = source.partition(":")
        for row in load_dataset(name, config or None, split="train", streaming=True):
            yield row["text"]
        return
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted(library.glob("*.py")):
        for part in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(part, ast.FunctionDef | ast.ClassDef) and (said := ast.get_docstring(part)):
                yield f"{file.stem}.{part.name}: {said.splitlines()[0]}"


def main() -> None:
    """Make one shard, unless the bucket has it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="toy")
    parser.add_argument("--texts", default="stdlib")
    parser.add_argument("--limit", type=int, default=0, help="of all shards together; 0: no limit")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards: the bucket")
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    given = parser.parse_args()
    name = f"shard-{given.shard}-of-{given.of}.db"
    if (given.out / name).exists():
        print(f"{name} is in the bucket already", flush=True)
        return
    encode = encoder.of(given.model)
    mine = itertools.islice(texts_of(given.texts), given.shard, given.limit or None, given.of)
    began, count, width = time.monotonic(), 0, 0
    with shards.new(given.out / name) as add:
        while batch := list(itertools.islice(mine, BATCH)):
            vectors = encode(batch)
            add(batch, vectors)
            count, width = count + len(batch), len(vectors[0])
    rate = count / (time.monotonic() - began)
    print(f"{name}: {count} texts of {width} numbers each, {rate:.0f} texts/s", flush=True)


if __name__ == "__main__":
    main()
