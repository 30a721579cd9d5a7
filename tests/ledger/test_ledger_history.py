"""From the recorded history of a cluster to what it has cost: also after its stack is gone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ledger_site import AGAIN, DESTROYED, STARTED, STOPPED, UP, Site

from skyrig import places, spending
from skyrig.cluster import shape as shapes
from skyrig.cluster.autostop import NOTE, AutostopNote
from skyrig.ledger import rates
from skyrig.stack import deployed, spent

HOUR = 3600.0
BIN = Path(sys.prefix) / "bin"
KIND = "a3-megagpu-8g"


def shown(**more: Any) -> dict[str, Any]:
    """What `cost --json` shows."""
    return spending.cost(None, 30, lambda line: None, **more).to_json()


def rate() -> tuple[float, float]:
    """USD an hour of the recorded cluster, up and stopped."""
    values = json.loads(
        (Path(__file__).parent / "history").joinpath("gee-1795338849577261055.history.json").read_text()
    )
    shape = shapes.from_config({key.removeprefix("skyrig:"): value for key, value in values["config"].items()})
    up, stopped = rates.up(shape), rates.stopped(shape)
    assert up is not None and stopped is not None and 0 < stopped < up / 100
    return up, stopped


def test_a_life_is_counted_once_and_outlives_its_stack(site: Site) -> None:
    up, stopped = rate()
    t = time.time() - 10 * HOUR
    runs = [(UP, t, t + 600), (AGAIN, t + HOUR, t + HOUR + 9), (STARTED, t + 2 * HOUR, t + 2 * HOUR + 9),
            (STOPPED, t + 3 * HOUR, t + 3 * HOUR + 60), (DESTROYED, t + 5 * HOUR, t + 5 * HOUR + 60)]  # fmt: skip
    wanted = pytest.approx((up * (3 * HOUR + 60) + stopped * 2 * HOUR) / HOUR, rel=1e-3)
    site.deploy("gee", runs[:2])
    assert shown()["running"][0]["power"] == "up"
    site.deploy("gee", runs)
    for _ in range(2):
        [row] = shown()["stacks"]
        assert (row["name"], row["cloud"], row["power"], row["usd"]) == ("gee", "gcp", "down", wanted)
        assert KIND in row["what"] and not row["at_least"] and not row["at_most"]
    site.remove("gee")
    assert shown()["total"]["usd"] == wanted
    kept = next(places.ledger().glob("*/gee.jsonl")).read_text().splitlines()
    assert len(kept) == len(runs)


def test_removing_a_stack_with_plain_pulumi_keeps_what_it_cost(site: Site) -> None:
    t = time.time() - 10 * HOUR
    site.deploy("gee", [(UP, t, t), (DESTROYED, t + HOUR, t + HOUR)])
    command = [
        sys.executable,
        "-m",
        "skyrig.stack.plain",
        "/bin/true",
        "stack",
        "rm",
        "--yes",
        "organization/skyrig/gee",
    ]
    subprocess.run(command, check=True, timeout=60)
    site.remove("gee")
    assert shown()["total"]["usd"] == pytest.approx(rate()[0], rel=1e-3)


def test_the_python_api_gives_the_rows_of_a_cost_report(site: Site) -> None:
    t = time.time() - 10 * HOUR
    site.deploy("gee", [(UP, t, t), (STOPPED, t + HOUR, t + HOUR)])
    text = "import json, skyrig as sky; print(json.dumps(sky.get(sky.cost_report(days=7))))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    [row] = json.loads(done.stdout)
    up, stopped = rate()
    assert (row["name"], row["num_nodes"], row["status"], row["cloud"]) == ("gee", 2, "STOPPED", "gcp")
    assert row["total_cost"] == pytest.approx(up + 9 * stopped, rel=1e-3)
    assert row["duration"] == pytest.approx(10 * HOUR, abs=60) and row["launched_at"] == int(t)
    assert [span[1] is None for span in row["usage_intervals"]] == [False, True]


def test_a_ledger_that_was_cut_off_in_a_line_goes_on(site: Site) -> None:
    t = time.time() - 10 * HOUR
    site.deploy("gee", [(UP, t, t + 600)])
    spent.keep("gee")
    [file] = places.ledger().glob("*/gee.jsonl")
    file.write_text(file.read_text()[:-30])
    site.deploy("gee", [(DESTROYED, t + HOUR, t + HOUR)])
    spent.keep("gee")
    site.remove("gee")
    assert shown()["total"]["usd"] == pytest.approx(rate()[0], rel=1e-3)


def test_a_cluster_that_went_off_by_itself_costs_what_is_left(site: Site) -> None:
    up, stopped = rate()
    t = time.time() - 10 * HOUR
    site.deploy("gee", [(UP, t, t)])
    note = places.made(places.records("gee")) / NOTE
    note.write_text(json.dumps(AutostopNote("m-1", 600.0, acted_at=t + 4 * HOUR, reason="autostopped").to_json()))
    assert shown()["total"]["usd"] == pytest.approx(4 * up + 6 * stopped, rel=1e-3)
    note.write_text(json.dumps(AutostopNote("m-2").to_json()))  # of the head after it: the first one is kept
    assert shown()["total"]["usd"] == pytest.approx(4 * up + 6 * stopped, rel=1e-3)


def test_of_a_run_that_failed_the_nodes_that_it_left_cost(site: Site) -> None:
    up, _ = rate()
    t = time.time() - 10 * HOUR
    site.deploy("none", [(UP, t, t)], result="failed", resourceChanges={"same": 1})
    site.deploy("half", [(UP, t, t)], nodes=1, result="failed", resourceChanges={"create": 20})
    rows = {row["name"]: row for row in shown()["stacks"]}
    assert set(rows) == {"half"}
    assert rows["half"]["usd"] == pytest.approx(10 * up / 2, rel=0.01) and not rows["half"]["at_most"]


def test_a_run_that_was_cut_off_may_have_made_all_of_it(site: Site) -> None:
    site.deploy("gee", [], nodes=1)
    values = json.loads(
        (Path(__file__).parent / "history").joinpath("gee-1795338849577261055.history.json").read_text()
    )
    shape = shapes.from_config({key.removeprefix("skyrig:"): value for key, value in values["config"].items()})
    deployed.note_start("gee", shape)
    [row] = shown()["stacks"]
    assert row["at_most"] and row["power"] == "up"
    site.deploy("new", [])  # a stack that has nothing yet, after another one of its name was cut off
    deployed.note_start("new", shape)
    assert [row["name"] for row in shown()["stacks"]] == ["gee"]


def test_the_command_shows_and_draws(site: Site, tmp_path: Path) -> None:
    t = time.time() - 30 * HOUR
    site.deploy("gee", [(UP, t, t)])
    site.deploy("here", [(UP, t, t)], config={"skyrig:cloud": "local"})
    picture = tmp_path / "days.png"
    done = subprocess.run([str(BIN / "skyrig"), "cost", "--plot", str(picture)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes()[:4] == b"\x89PNG" and "here" not in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines() if line][:2] == ["RUNNING", "gee"]
    days = [line for line in done.stdout.splitlines() if line.startswith("20")]
    assert len(days) in (2, 3)
    bad = subprocess.run([str(BIN / "skyrig"), "cost-report", "--by", "week"], capture_output=True, text=True)
    assert bad.returncode == 2 and "--by week" in bad.stderr
