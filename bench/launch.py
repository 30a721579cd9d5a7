"""`python -m bench.launch [WHAT ...]`: measures, prints tables, and writes bench/results/*.json.

WHAT is any of the names in MEASURES; without one, all of them run, one after another.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from attrs import asdict, define, frozen

from bench import checkpoint, fanout, first_line, optimizer, record, recovery, serve, spread, storage, sync
from bench.cluster import Cluster, cluster
from bench.figures import Figures
from skyrig.errors import SkyrigError
from skyrig.fleet.spread import FLAT_NODES


@frozen
class Size:
    """How much is measured: SSH servers of the fan-out, nodes of clusters, files of the workdir that is synced, size of
    the one that is spread, of a training's state, of one that goes to a bucket (MiB), and rounds."""

    servers: int = 64
    nodes: tuple[int, ...] = (2, 8, 32)
    files: int = 5000
    megabytes: int = 8
    state_megabytes: int = 512
    bucket_megabytes: int = 1024
    rounds: int = 7
    seconds: float = 3.0


def say(line: str) -> None:
    """Tell how a bench gets on."""
    print(line, file=sys.stderr, flush=True)


@define
class Run:
    """One run of benches. Those that need a cluster share one, which is gone when `ends` is left."""

    size: Size
    ends: ExitStack
    _cluster: Cluster | None = None

    def cluster(self) -> Cluster:
        """The cluster, begun when it is first wanted."""
        if self._cluster is None:
            self._cluster = self.ends.enter_context(cluster(say))
        return self._cluster

    def spreads(self) -> list[Figures]:
        """The spread at each size that has a tree."""
        found = []
        for nodes in self.size.nodes:
            if nodes > FLAT_NODES:
                found += spread.measure(nodes, self.size.megabytes, min(3, self.size.rounds))
        return found

    def recoveries(self) -> list[Figures]:
        """Recoveries at each size that this machine can have."""
        sizes = [nodes for nodes in self.size.nodes if nodes <= recovery.MOST_NODES]
        return recovery.measure(sizes, min(3, self.size.rounds), say)


MEASURES: dict[str, Callable[[Run, Size], list[Figures]]] = {
    "fanout": lambda run, size: fanout.measure(size.servers, size.rounds),
    "spread": lambda run, size: run.spreads(),
    "first-line": lambda run, size: first_line.measure(run.cluster(), size.nodes, size.rounds),
    "sync": lambda run, size: sync.measure(run.cluster(), size.files, min(8, max(size.nodes)), min(3, size.rounds)),
    "checkpoint": lambda run, size: checkpoint.measure(size.state_megabytes, size.rounds, say),
    "optimizer": lambda run, size: optimizer.measure(size.rounds),
    "recovery": lambda run, size: recovery.measure(
        [nodes for nodes in size.nodes if nodes <= 8], min(3, size.rounds), say
    ),
    "serve": lambda run, size: serve.measure(size.rounds, size.seconds, say),
    "storage": lambda run, size: storage.measure(size.bucket_megabytes, min(3, size.rounds), say),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="invoke bench --", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*MEASURES, []], metavar="WHAT", help=", ".join(MEASURES))
    parser.add_argument("--servers", type=int, default=64)
    parser.add_argument("--nodes", type=int, nargs="+", default=[2, 8, 32], help="sizes of local clusters")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--megabytes", type=int, default=8)
    parser.add_argument("--state-megabytes", type=int, default=512, help="size of what is saved")
    parser.add_argument("--bucket-megabytes", type=int, default=1024, help="size of what goes to a bucket")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load on a service in each round")
    parser.add_argument("--results", type=Path, default=record.RESULTS, metavar="FOLDER")
    given = parser.parse_args(words)
    asked = {
        name: getattr(given, name) for name in ("servers", "files", "megabytes", "state_megabytes", "rounds", "seconds")
    }
    size = Size(nodes=tuple(given.nodes), bucket_megabytes=given.bucket_megabytes, **asked)
    with ExitStack() as ends:
        run = Run(size, ends)
        for name in given.what or MEASURES:
            figures = MEASURES[name](run, size)
            for table in figures:
                table.show()
            counts = {key: value for key, value in asdict(size).items() if key != "nodes"}
            outcome = {table.title: table.outcome() for table in figures}
            print(f"-> {record.write(name, outcome, counts=counts, folder=given.results)}", flush=True)
    return 0


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # also where the caller ignores them: clusters must go
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        sys.exit(main())
    except SkyrigError as error:
        sys.exit(str(error))
