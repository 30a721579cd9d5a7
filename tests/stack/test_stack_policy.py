"""Time to live and limits in the config of a stack, before a plain `pulumi up` of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from skyrig import places
from skyrig.errors import BadInput
from skyrig.stack import config, stacks

RENTED = """\
config:
  skyrig:cloud: gcp
  skyrig:nodes:
    - n0
  skyrig:instanceType: a3-megagpu-8g
  skyrig:region: us-central1
"""


@pytest.fixture
def file(project_folder: Path) -> Path:
    """The config of stack `s`, which is there and has nothing."""
    state = places.backend() / ".pulumi" / "stacks" / "skyrig" / "s.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {}}}))
    return project_folder / "stacks" / "Pulumi.s.yaml"


def ends_in(seconds: float) -> bool:
    """Whether the stack's time to live, as its config says, is over in so many seconds."""
    ttl = config.read_shape("s").policy.ttl
    return ttl is not None and abs(ttl.ends_at - time.time() - seconds) < 10


def test_what_is_written_by_hand_is_counted_once_and_from_then_on(file: Path) -> None:
    file.write_text("config:\n  skyrig:nodes:\n    - n0\n  skyrig:ttl: 8h # a night\n")
    stacks.prepare("s", "preview", print)
    assert "skyrig:ttl: 8h # a night" in file.read_text()
    stacks.prepare("s", "up", print)
    assert ends_in(8 * 3600)
    first = file.read_text()
    stacks.prepare("s", "up", print)
    assert file.read_text() == first


def test_what_is_over_counts_again_for_whoever_brings_it_up(file: Path) -> None:
    file.write_text("config:\n  skyrig:ttl: 2d until 2026-01-01T00:00:00Z\n")
    stacks.prepare("s", "destroy", print)
    assert "until 2026-01-01T00:00:00Z" in file.read_text()
    stacks.prepare("s", "up", print)
    assert ends_in(2 * 86400)


def test_a_limit_stops_a_plain_up_and_nothing_else(file: Path) -> None:
    file.write_text(f"{RENTED}  skyrig:maxHourly: 12.5\n")
    before = file.read_text()
    with pytest.raises(BadInput, match=r"stack s: 1 node .* more than the \$12.50/h it may"):
        stacks.prepare("s", "up", print)
    for verb in ("preview", "refresh", "destroy"):
        stacks.prepare("s", verb, print)
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("skyrig:ttl: soon", "skyrig:ttl: 'soon' is no time to live"),
        ("skyrig:ttl: 8h until tomorrow", "is no time to live"),
        ("skyrig:ttl: 8h until 2026-13-01T00:00:00Z", "2026-13-01"),
        ("skyrig:budget: much", "skyrig:budget 'much': an amount of USD"),
        ("skyrig:maxHourly: -3", "skyrig:maxHourly '-3'"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_line(file: Path, line: str, said: str) -> None:
    file.write_text(f"config:\n  {line}\n")
    with pytest.raises(BadInput, match=rf"Pulumi.s.yaml:2: .*{said}"):
        config.read_shape("s")
