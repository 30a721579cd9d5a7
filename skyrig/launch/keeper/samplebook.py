"""One job's samples on the head: a file beside its log with a line a sample, of bounded size.

The first line has the file's `generation`. When the file has grown to its most lines, it is written anew with every two
samples of a node made one, and its generation is the next one: from then on so many samples (two to the power of the
generation) become one line. So a long job has samples of its whole time, fewer the longer it is. Whoever copies the
file copies on where its generation is the same, else all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MOST = 20_000
"""Lines of a job's samples, and `MOST_OF_NODE` a node where that is more: some megabytes."""

MOST_OF_NODE = 240

Sample = Mapping[str, Any]
"""`t` (unix time), `n` (the node), and numbers by name."""


class SampleBook:
    """Writer of one job's samples. OSError where the disk takes none."""

    def __init__(self, path: Path, nodes: int, most: int = MOST) -> None:
        self._path = path
        self._most = max(most, MOST_OF_NODE * nodes)
        self._waiting: dict[str, list[Sample]] = {}
        self._generation, samples, whole = read(path)
        self._count = len(samples)
        if not whole:  # a keeper that was killed while it wrote, or none was here yet
            self._rewrite(samples)

    def add(self, sample: Sample) -> None:
        """Take a sample; it is in the file when as many of its node are there as become one."""
        waiting = self._waiting.setdefault(sample["n"], [])
        waiting.append(sample)
        if len(waiting) < 2**self._generation:
            return
        del self._waiting[sample["n"]]
        with self._path.open("ab") as file:
            file.write(_line(merged(waiting)))
        self._count += 1
        if self._count >= self._most:
            self._generation += 1
            self._rewrite(list(halved(read(self._path)[1])))

    def _rewrite(self, samples: Sequence[Sample]) -> None:
        fresh = self._path.with_name(f".{self._path.name}.new")
        lines = [_line({"generation": self._generation}), *map(_line, samples)]
        fresh.write_bytes(b"".join(lines))
        fresh.replace(self._path)
        self._count = len(samples)


def read(path: Path) -> tuple[int, list[Sample], bool]:
    """Generation and samples of a file, and whether it is one and whole: its last line may be torn."""
    try:
        lines = path.read_bytes().split(b"\n")
        generation = int(json.loads(lines[0])["generation"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, [], False
    samples = list(_samples(lines[1:-1]))
    return generation, samples, not lines[-1] and len(samples) == len(lines) - 2


def _samples(lines: Iterable[bytes]) -> Iterator[Sample]:
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("n"), str) and isinstance(found.get("t"), (int, float)):
            yield found


def halved(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Every two samples of a node as one, in the order of time."""
    waiting: dict[str, Sample] = {}
    for each in samples:
        before = waiting.pop(each["n"], None)
        if before is None:
            waiting[each["n"]] = each
        else:
            yield merged([before, each])
    yield from waiting.values()


def merged(samples: Sequence[Sample]) -> Sample:
    """Several samples of one node as one: the mean of each number, as far as it is known, at their middle."""
    if len(samples) == 1:
        return samples[0]
    found: dict[str, Any] = {"t": round(sum(each["t"] for each in samples) / len(samples), 2), "n": samples[0]["n"]}
    for name in {name for each in samples for name in each} - found.keys():
        values = [each[name] for each in samples if isinstance(each.get(name), (int, float))]
        if values:
            mean = sum(values) / len(values)
            found[name] = round(mean, 2) if abs(mean) < 1000 else round(mean)
    return found


def _line(found: Mapping[str, Any]) -> bytes:
    return json.dumps(found, separators=(",", ":")).encode() + b"\n"
