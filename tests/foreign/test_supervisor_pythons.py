"""The supervisor's one file under the oldest Python that nodes may have, and under newer ones."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from foreign_nodes import ROOT, pythons, wait_for

TEXT = 'echo out; echo err >&2; (trap "" TERM; exec sleep 4712) & exit 3\n'


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.13"])
def test_a_rank_runs_and_ends_with_its_whole_tree(version: str, tmp_path: Path) -> None:
    found = pythons(version)
    if not found:
        pytest.skip(f"no Python {version} on PATH or of pyenv's")
    command = [str(found[version].program), "-I", "-S", str(ROOT / "skyrig" / "launch" / "supervisor.py")]
    spec = {"version": 1, "dir": str(tmp_path / "rank"), "files": {"run.sh": TEXT}, "lease_s": 30, "cwd": str(tmp_path)}
    with subprocess.Popen([*command, "start"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(spec).encode() + b"\n")
        process.stdin.flush()
        output, frames = b"", []
        while line := process.stdout.readline():
            frames.append(json.loads(line))
            output += process.stdout.read(frames[-1].get("len", 0))
    (end,) = [frame for frame in frames if frame["k"] == "exit"]
    assert (end["code"], end["why"], end["left"], sorted(output.split())) == (3, "exit", 0, [b"err", b"out"])
    assert not (tmp_path / "rank" / "supervisor.err").read_text()

    def stored() -> dict[str, Any] | None:  # whoever is attached is told first
        asked = [*command, "status", str(tmp_path / "rank")]
        said: dict[str, Any] = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
        return said if said["k"] != "up" else None

    assert wait_for(stored, "the result to be stored")["code"] == 3
