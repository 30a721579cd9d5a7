"""`gpus`: what accelerators there are, what they cost, and how soon that is known."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

import pytest

from skyrig.catalog import prices

SDKS = ("boto3", "botocore", "google", "azure", "requests", "yaml", "rich")


def asked(clone: Any, door: str, *words: str) -> dict[str, Any]:
    """What the verb answers as JSON."""
    found: dict[str, Any] = json.loads(clone.run(door, *words, "--json").stdout)
    return found


def test_every_accelerator_of_the_price_table_is_there_with_its_cheapest_node(clone: Any) -> None:
    found = {(each["accelerator"], each["cloud"]): each for each in asked(clone, "invoke", "gpus")["accelerators"]}
    rows = [row for row in prices.read(prices.FILE) if row.accelerator]
    assert {(row.accelerator, row.cloud) for row in rows} <= set(found)
    for (name, cloud), each in found.items():
        if name.startswith("tpu-"):
            continue  # priced by the chip
        costs = [row.on_demand for row in rows if (row.accelerator, row.cloud) == (name, cloud) and row.on_demand]
        assert (each["on_demand"] or {}).get("hourly") == min(costs, default=None), (name, cloud)


def test_a_name_in_any_case_shows_every_type_and_with_all_regions_every_row(clone: Any) -> None:
    rows = [row for row in prices.read(prices.FILE) if row.accelerator == "H100" and row.accelerator_count == 8]
    short = asked(clone, "skyrig", "gpus", "h100:8")["offers"]
    assert {(each["accelerator"], each["count"]) for each in short} == {("H100", 8)}
    assert {each["instance_type"] for each in short} >= {row.instance_type for row in rows}
    full = asked(clone, "invoke", "gpus", "--name", "h100:8", "--all-regions")["offers"]
    told = {
        (each["cloud"], each["region"], each["instance_type"], each["hourly"], each["spot_hourly"]) for each in full
    }
    assert told >= {(row.cloud, row.region, row.instance_type, row.on_demand, row.spot) for row in rows}
    assert all(each["age_days"] is not None for each in full if each["region"])


def test_a_slice_of_tpus_costs_what_its_chips_cost(clone: Any) -> None:
    offers = asked(clone, "invoke", "gpus", "tpu-v5e", "--infra", "gcp/us-central1")["offers"]
    chip = prices.hourly("gcp", "us-central1", "tpu-v5e (per chip)", spot=False)
    found = {each["instance_type"]: each["hourly"] for each in offers}
    assert chip is not None and found["v5litepod-8"] == pytest.approx(8 * chip)
    assert "tpu-v5e (per chip)" not in found


def test_a_place_is_heeded_and_a_table_says_how_old_it_is(clone: Any) -> None:
    told = clone.run("skyrig", "gpus", "list", "L4", "--infra", "gcp/us-east4").stdout
    assert "g2-standard-4" in told and "us-east4" in told and "us-central1" not in told and "aws" not in told
    assert " old" in told and "`catalog.refresh` gets today's" in told
    assert clone.run("skyrig", "show-gpus", "-a").stdout == clone.run("invoke", "gpus").stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["gpus", "H1000"], "H1000: no accelerator of the catalog is called that; did you mean H100?"),
        (["gpus", "--infra", "awss"], "--infra: 'awss' is no cloud; did you mean aws?"),
        (
            ["gpus", "--infra", "aws/us-east-11"],
            "us-east-11: no prices of aws are known there; did you mean us-east-1?",
        ),
        (["gpus", "--infra", "vast"], "vast: no prices of that cloud are known"),
        (["gpus", "H100:none"], "a count above 0 is wanted"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there_is_said_with_the_nearest_that_is(words: list[str], says: str, clone: Any) -> None:
    done = clone.run("invoke", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


def test_no_sdk_of_a_cloud_is_imported_for_it(clone: Any) -> None:
    code = "import sys; from skyrig.catalog import accelerators as a; a.summaries(a.listed()); " + (
        f"print([name for name in {SDKS} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clone.env)
    assert done.stdout == "[]\n"


def test_the_table_is_there_at_once(clone: Any) -> None:
    took = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert clone.run("invoke", "gpus").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 0.8  # seconds of processor time; 0.35 where nothing else runs, which is the wall time too
