"""Asks all shards a question and prints the nearest texts."""

from __future__ import annotations

import argparse
import heapq
import time
from collections import defaultdict
from pathlib import Path

import encoder
import shards

PATIENCE_S = 120


def all_of(folder: Path) -> list[Path]:
    """The shards, once all are there: a mounted bucket shows what other nodes wrote some seconds later. Where it has
    those of runs with other numbers of processes too, which hold the same texts, the largest number counts."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        by_number = defaultdict(list)
        for file in sorted(folder.glob("shard-*.db")):
            by_number[int(file.stem.rpartition("-of-")[2])].append(file)
        wanted, found = max(by_number.items(), default=(1, []))
        if len(found) == wanted:
            return found
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(found)} of {wanted} shards are in {folder}: run embed.yaml again")
        time.sleep(1)


def main() -> None:
    """Ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("--model", default="toy")
    parser.add_argument("--shards", type=Path, required=True, help="folder of the shards: the bucket")
    parser.add_argument("--count", type=int, default=5)
    given = parser.parse_args()
    (vector,) = encoder.of(given.model)([given.question])
    answers = [shards.nearest(file, vector, given.count) for file in all_of(given.shards)]
    print(f"{len(answers)} shards, {sum(total for total, _ in answers)} texts")
    for distance, text in heapq.nsmallest(given.count, (each for _, found in answers for each in found)):
        print(f"{distance:.3f} {text}")


if __name__ == "__main__":
    main()
