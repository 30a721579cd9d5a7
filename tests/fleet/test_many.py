"""Fan-out to many servers: memory and time grow with their number, no faster; open files are counted and bounded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict, evolve
from fleet_servers import Keys, public

from bench import record
from skyrig.fleet.target import Target

ROUNDS = 3
PROGRAM = [sys.executable, str(Path(__file__).with_name("fleet_many.py"))]


@contextmanager
def servers(keys: Keys, count: int) -> Iterator[list[Target]]:
    """So many servers in a process of their own."""
    given = json.dumps({"host": keys.host.export_private_key().decode(), "client": public(keys.client)})
    command = [*PROGRAM, "serve", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        process.stdin.write(given + "\n")
        process.stdin.flush()
        ports = json.loads(process.stdout.readline())
        yield [evolve(keys.target(f"n{at}", port)) for at, port in enumerate(ports)]
        process.stdin.close()


def fan_out(keys: Keys, targets: list[Target], *limits: str) -> subprocess.CompletedProcess[str]:
    """A fan-out in a process of its own, under `limits` (each an option of ulimit)."""
    given = {"key": keys.credentials.private_key, "targets": [asdict(target) for target in targets]}
    limited = "".join(f"ulimit {limit} && " for limit in limits)
    command = ["sh", "-c", limited + 'exec "$0" "$@"', *PROGRAM, "fan-out"]
    return subprocess.run(
        command, input=json.dumps(given) + "\n", capture_output=True, text=True, check=False, timeout=120
    )


def growth(keys: Keys, counts: tuple[int, ...]) -> dict[int, dict[str, Any]]:
    """What a fan-out to so many servers costs, by their number: times at best of a few, between which other tests
    may have come and gone."""
    with servers(keys, counts[-1]) as targets:
        found: dict[int, dict[str, Any]] = {}
        for _ in range(ROUNDS):
            for count in counts:
                cost = json.loads(fan_out(keys, targets[:count]).stdout)
                before = found.get(count, cost)
                found[count] = {**cost, **{what: min(before[what], cost[what]) for what in ("cold_s", "warm_s")}}
        return found


def check(found: dict[int, dict[str, Any]]) -> None:
    """Each server costs no more where there are many than where there are few, with room for a loaded machine."""
    few, *more = found
    for count in more:
        for what, slack in (("cold_s", 0.5), ("warm_s", 0.3), ("bytes", 8 << 20)):
            allowed = 2 * found[few][what] / few * count + slack
            assert found[count][what] <= allowed, f"{what}: {found}"
        assert found[count]["connections"] == count
        assert found[count]["files"] <= count + 20


def test_memory_and_time_grow_no_faster_than_the_number_of_nodes(keys: Keys) -> None:
    check(growth(keys, (32, 64, 128)))


@pytest.mark.soak
def test_memory_and_time_at_256_nodes(keys: Keys) -> None:
    found = growth(keys, (32, 64, 128, 256))
    check(found)
    record.write("fleet-growth", {str(count): cost for count, cost in found.items()}, counts={"servers": 256})


def test_the_limit_of_open_files_is_raised_where_it_may_be(keys: Keys) -> None:
    with servers(keys, 24) as targets:
        raised = fan_out(keys, targets, "-Sn 30")
        assert raised.returncode == 0, raised.stderr
        assert json.loads(raised.stdout)["files"] > 24
        refused = fan_out(keys, targets, "-Sn 30", "-Hn 270")
        assert refused.returncode == 1
        said = "TooManyFiles: 15 SSH connections need 271 open files, this process may have 270 (raise the hard limit"
        assert said in refused.stderr
