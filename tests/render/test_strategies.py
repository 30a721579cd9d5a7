"""Every strategy, with its real launcher: what a process learns of the world, and how its end is known."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest
import ranks

from skyrig.launch.program import Script
from skyrig.launch.render import render_launch

STRATEGIES = ("torchrun", "deepspeed", "accelerate", "plain")
"""Those that start one process for each accelerator; tests/nodeside has the others."""

TELL = r"""
import json, os, sys
names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "OMP_NUM_THREADS", "GLOO_SOCKET_IFNAME", "ODD")
told = {name: os.fsencode(os.environ[name]).hex() for name in names}
told["words"] = [os.fsencode(word).hex() for word in sys.argv[1:] if not word.startswith("--local_rank=")]
os.write(1, f"told {json.dumps(told)}\n".encode())  # one write: print() makes two, and processes share the log
"""
RANK_1_EXITS_7 = """
import os, sys, time
if os.environ["RANK"] == "1":
    sys.exit(7)
time.sleep(600)
"""
ODD_WORDS = ("two words", "$HOME 'q' \"d\" `id`", "line\nline\n", "--", "-m", "é🚀\udcff")


def strategy_or_skip(name: str) -> str:
    """`name`, unless the package behind it is not installed."""
    package = {"torchrun": "torch", "plain": "json"}.get(name, name)
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed here")
    return name


def told(log: str) -> list[dict[str, object]]:
    """What the processes of one rank said of themselves."""
    lines = (line.partition("told ")[2] for line in log.splitlines() if "told {" in line)
    return sorted((json.loads(line) for line in lines), key=lambda each: str(each["RANK"]))


def write_script(folder: Path, name: str, text: str) -> None:
    """Put a script into the workdir of the nodes."""
    (folder / "workdir").mkdir()
    (folder / "workdir" / name).write_text(text)


@pytest.mark.e2e
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("nodes", "accelerators"), [(2, 0), (1, 2)])
def test_each_process_learns_its_place_and_gets_all_bytes(
    tmp_path: Path, strategy: str, nodes: int, accelerators: int
) -> None:
    write_script(tmp_path, "it's a $script.py", TELL)
    scripts = render_launch(Script("it's a $script.py", ODD_WORDS), strategy_or_skip(strategy))
    got = ranks.run(scripts, tmp_path, nodes=nodes, accelerators=accelerators, env={"ODD": ODD_WORDS[-1]})
    assert [rank.code for rank in got] == [0] * nodes, got
    processes = [each for rank in got for each in told(rank.log)]
    loopback = "lo" if os.uname().sysname == "Linux" else "lo0"
    expected = {
        "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": loopback,
        "ODD": ODD_WORDS[-1],
    }  # fmt: skip
    for number, process in enumerate(processes):
        local = number if accelerators else 0
        wanted = {**expected, "RANK": str(number), "LOCAL_RANK": str(local)}
        assert process == {
            **{name: os.fsencode(value).hex() for name, value in wanted.items()},
            "words": [os.fsencode(word).hex() for word in ODD_WORDS],
        }
    assert len(processes) == 2
    assert [rank.records for rank in got] == ([{"0": 0, "1": 0}] if accelerators else [{"0": 0}, {"0": 0}])


@pytest.mark.e2e
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_exit_7_of_rank_1_is_known_while_rank_0_sleeps(tmp_path: Path, strategy: str) -> None:
    write_script(tmp_path, "exit.py", RANK_1_EXITS_7)
    scripts = render_launch(Script("exit.py"), strategy_or_skip(strategy))
    with ranks.started(scripts, tmp_path) as (first, second):
        assert second.wait(60) != 0
        assert first.poll() is None
        assert ranks.records_of(tmp_path, 1) == {"0": 7}
        assert ranks.records_of(tmp_path, 0) == {}


@pytest.mark.e2e
@pytest.mark.parametrize(("strategy", "code"), [("plain", 7), ("accelerate", 1)])
def test_one_failing_process_ends_the_others_of_its_node(tmp_path: Path, strategy: str, code: int) -> None:
    # The two strategies where our own script starts the processes; Accelerate's launcher turns each failure into 1.
    write_script(tmp_path, "exit.py", RANK_1_EXITS_7)
    scripts = render_launch(Script("exit.py"), strategy_or_skip(strategy))
    (got,) = ranks.run(scripts, tmp_path, nodes=1, accelerators=3)
    assert got.code == code
    # A process that was ended before its wrapper stood has no record; one that failed by itself always has.
    assert got.records.pop("1") == 7
    assert set(got.records.values()) <= {143}
