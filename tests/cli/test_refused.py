"""What cannot be done is said in one line, with an exit code, and nothing is made."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from forked import forker

CASES = json.loads((Path(__file__).parent / "cases" / "refused.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.get("invoke") or f"skyrig {case['skyrig']}")
def test_one_line_an_exit_code_and_nothing_made(case: dict[str, Any], clone: Any) -> None:
    door = "invoke" if "invoke" in case else "skyrig"
    done = forker().run(door, shlex.split(case[door]), clone.path, clone.env)
    assert done.returncode == case.get("code", 2), done.stderr
    assert case["says"] in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert clone.made() == []


@pytest.mark.parametrize("words", [["up"], ["train", "--script", "tasks.py"]], ids=" ".join)
def test_a_slip_in_the_config_is_found_before_the_engine_runs(words: list[str], clone: Any) -> None:
    (clone.path / "stacks" / "Pulumi.dev.yaml").write_text("config:\n  skyrig:nodez: [n0]\n")
    done = clone.run("invoke", *words)
    assert done.returncode == 2
    slip = "stacks/Pulumi.dev.yaml:2: unknown config key skyrig:nodez (did you mean skyrig:nodes?)"
    assert done.stderr.endswith(slip + "\n")
    assert len(done.stderr.splitlines()) == 1
    assert [each for each in clone.made() if "Pulumi.dev.yaml" not in each] == []
